from __future__ import annotations

import pytest

import finished
from neft.reporting import figures
from neft.reporting.summary import rows
from neft.results import runs
from scripts.run_figures import plot_scores


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return finished.write(tmp_path_factory.mktemp("finished"), finished.runs())


def plot(root, folder):
    spec = finished.spec(finished.runs(), baseline="full")
    plot_scores.main(
        [
            "--spec",
            spec,
            "--results",
            str(root),
            "--png",
            str(folder / "scores.png"),
            "--pdf",
            str(folder / "scores.pdf"),
        ]
    )
    return [(folder / f"scores.{kind}").read_bytes() for kind in ("png", "pdf")]


def test_drawn_twice_the_figure_is_the_same_bytes(root, tmp_path):
    assert plot(root, tmp_path / "a") == plot(root, tmp_path / "b")


def test_dots_intervals_and_labels_are_the_scores(root):
    (group,) = runs.group(runs.from_spec(finished.runs()))
    results = {row.method: row.results["bleu"] for row in rows(root, group, "full")}
    _, axes = figures.panels(1, 1, 4, 3)
    plot_scores.draw(axes[0, 0], results, "full")
    labels = [tick.get_text() for tick in axes[0, 0].get_yticklabels()]
    assert labels == list(results)
    lines = [line.get_xdata() for line in axes[0, 0].lines]
    intervals, dots = lines[0 : 2 * len(results) : 2], lines[1 : 2 * len(results) : 2]
    assert [list(xs) for xs in intervals] == [
        [result.low, result.high] for result in results.values()
    ]
    assert [xs[0] for xs in dots] == [result.value.value for result in results.values()]
    assert [text.get_text() for text in axes[0, 0].texts] == [
        f"{result.value.value:.1f}" for result in results.values()
    ]


def test_the_first_method_is_on_top_and_the_axis_starts_at_zero(root):
    (group,) = runs.group(runs.from_spec(finished.runs()))
    results = {row.method: row.results["chrf"] for row in rows(root, group, "full")}
    _, axes = figures.panels(1, 1, 4, 3)
    plot_scores.draw(axes[0, 0], results, "full")
    assert axes[0, 0].yaxis_inverted() and axes[0, 0].get_xlim()[0] == 0
    assert axes[0, 0].get_xlabel() == "chrF++, 95 % interval"
