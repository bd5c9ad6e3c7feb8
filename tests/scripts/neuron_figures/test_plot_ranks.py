from __future__ import annotations

import pytest

import ranked
from neft.analysis.ranking import by_pair
from neft.reporting import figures
from neft.storage.files import read_json
from scripts.analyse import compare_ranks
from scripts.neuron_figures import plot_ranks


@pytest.fixture
def ranks(tmp_path):
    """Two seeds; the first bucket is too narrow for a neuron."""
    arguments = ranked.with_options(ranked.write(tmp_path, seeds=(1, 2)), buckets=[0.03, 50])
    compare_ranks.main(
        [*arguments, "--json", str(tmp_path / "ranks.json"), "--csv", str(tmp_path / "ranks.csv")]
    )
    return tmp_path / "ranks.json"


def test_drawn_twice_the_figure_is_the_same_bytes(ranks, tmp_path):
    for name in "xy":
        paths = ["--png", str(tmp_path / f"{name}.png"), "--pdf", str(tmp_path / f"{name}.pdf")]
        plot_ranks.main(["--spec", "{}", "--ranks", str(ranks), *paths])
    for kind in ("png", "pdf"):
        assert (tmp_path / f"x.{kind}").read_bytes() == (tmp_path / f"y.{kind}").read_bytes()


def test_buckets_with_neurons_are_drawn_with_the_mean_and_the_reach_of_the_seeds(ranks):
    found = read_json(ranks)
    _, axes = figures.panels(1, 1, 4, 3)
    plot_ranks.draw_buckets(axes[0, 0], by_pair(found["pairs"]))
    assert [label.get_text() for label in axes[0, 0].get_xticklabels()] == ["0.03–50", "50–100"]
    mean, unrelated = axes[0, 0].lines[0], axes[0, 0].lines[-1]
    seeds = [[bucket["mean"] for bucket in pair["buckets"][1:]] for pair in found["pairs"]]
    assert mean.get_ydata() == pytest.approx(
        [sum(values) / 2 for values in zip(*seeds, strict=True)]
    )
    (bars,) = axes[0, 0].collections
    ends = [sorted(segment[:, 1]) for segment in bars.get_segments()]
    assert ends == [pytest.approx(sorted(values)) for values in zip(*seeds, strict=True)]
    assert unrelated.get_ydata() == pytest.approx(
        [bucket["unrelated"] for bucket in found["pairs"][0]["buckets"][1:]]
    )


def test_over_all_neurons_each_pair_has_its_mean(ranks):
    found = read_json(ranks)
    _, axes = figures.panels(1, 1, 4, 3)
    plot_ranks.draw_means(axes[0, 0], by_pair(found["pairs"]))
    means = [pair["mean"] for pair in found["pairs"]]
    reach, mark = axes[0, 0].lines
    assert list(reach.get_xdata()) == sorted(means)
    assert mark.get_xdata() == pytest.approx([sum(means) / 2])
    assert [label.get_text() for label in axes[0, 0].get_yticklabels()] == ["base → neft"]
