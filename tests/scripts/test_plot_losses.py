from __future__ import annotations

import pytest

import finished
import plot_losses
from neft import figures, runs
from neft.errors import NeftError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return finished.write(tmp_path_factory.mktemp("finished"), finished.runs((1, 2)))


def plot(root, folder, chosen):
    paths = ["--png", str(folder / "losses.png"), "--pdf", str(folder / "losses.pdf")]
    plot_losses.main(["--spec", finished.spec(chosen), "--results", str(root), *paths])
    return [(folder / f"losses.{kind}").read_bytes() for kind in ("png", "pdf")]


def test_drawn_twice_the_figure_is_the_same_bytes(root, tmp_path):
    assert plot(root, tmp_path / "a", finished.runs()) == plot(root, tmp_path / "b", finished.runs())


def test_of_several_seeds_the_first_is_drawn(root, tmp_path):
    assert plot(root, tmp_path / "a", finished.runs((1,))) == plot(root, tmp_path / "b", finished.runs((1, 2)))


def test_the_dev_panels_show_the_history_by_step_and_by_time(root):
    histories = plot_losses.read(str(root), runs.parse(finished.runs()))[finished.MODEL, finished.DATASET]
    assert list(histories) == [method for method in finished.METHODS if method != "base"]
    _, axes = figures.panels(1, 3, 3, 3)
    plot_losses.draw(axes[0], histories, figures.styles(histories))
    dev = [row for row in histories["neft"] if row["split"] == "dev"]
    place = list(histories).index("neft")
    for axis, x in ((axes[0, 1], "step"), (axes[0, 2], "seconds")):
        assert list(axis.lines[place].get_xdata()) == [row[x] for row in dev]
        assert list(axis.lines[place].get_ydata()) == [row["loss"] for row in dev]


def test_only_the_untuned_model_has_no_loss_to_draw(root, tmp_path):
    with pytest.raises(NeftError, match="no loss to draw"):
        plot(root, tmp_path, finished.runs(methods=("base",)))
