from __future__ import annotations

import json

import pytest

import finished
from neft.errors import NeftError
from neft.reporting import figures
from neft.results import runs
from scripts.run_figures import plot_losses


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return finished.write(tmp_path_factory.mktemp("finished"), finished.runs((1, 2)))


def plot(root, folder, *rows):
    spec = json.dumps({"rows": [{"title": title, "runs": chosen} for title, chosen in rows]})
    paths = ["--png", str(folder / "losses.png"), "--pdf", str(folder / "losses.pdf")]
    plot_losses.main(["--spec", spec, "--results", str(root), *paths])
    return [(folder / f"losses.{kind}").read_bytes() for kind in ("png", "pdf")]


def dev(histories):
    return [[row for row in history if row["split"] == "dev"] for history in histories]


def test_drawn_twice_the_figure_is_the_same_bytes(root, tmp_path):
    rows = [("", finished.runs((1, 2))), ("chosen", finished.runs(methods=("full", "neft")))]
    assert plot(root, tmp_path / "a", *rows) == plot(root, tmp_path / "b", *rows)


def test_the_dev_panels_show_the_history_by_step_and_by_time(root):
    histories = plot_losses.read(str(root), runs.from_spec(finished.runs()))
    assert list(histories) == [method for method in finished.METHODS if method != "base"]
    _, axes = figures.panels(1, 3, 3, 3)
    plot_losses.draw(axes[0], histories, figures.styles(histories))
    (rows,) = dev(histories["neft"])
    place = list(histories).index("neft")
    for axis, x in ((axes[0, 1], "step"), (axes[0, 2], "seconds")):
        assert list(axis.lines[place].get_xdata()) == [row[x] for row in rows]
        assert list(axis.lines[place].get_ydata()) == [row["loss"] for row in rows]


def test_of_several_seeds_the_mean_is_drawn_in_a_band_from_the_lowest_to_the_highest(root):
    histories = plot_losses.read(
        str(root), runs.from_spec(finished.runs((1, 2), methods=("full",)))
    )
    _, axes = figures.panels(1, 3, 3, 3)
    plot_losses.draw(axes[0], histories, figures.styles(histories))
    losses = [[row["loss"] for row in rows] for rows in dev(histories["full"])]
    (line,), (band,) = axes[0, 1].lines, axes[0, 1].collections
    assert line.get_ydata() == pytest.approx(
        [sum(values) / 2 for values in zip(*losses, strict=True)]
    )
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (min(map(min, losses)), max(map(max, losses)))


def test_a_run_that_stopped_early_ends_the_mean(root):
    histories = plot_losses.read(
        str(root), runs.from_spec(finished.runs((1, 2), methods=("full",)))
    )["full"]
    steps, losses = plot_losses.curves([histories[0], histories[1][:33]], "dev", "step")
    assert steps.tolist() == [[10, 20, 30], [10, 20, 30]]
    assert losses.shape == (2, 3)


def test_a_figure_of_no_runs_is_refused(root, tmp_path):
    with pytest.raises(NeftError, match="nothing to show"):
        plot(root, tmp_path, ("", []))
