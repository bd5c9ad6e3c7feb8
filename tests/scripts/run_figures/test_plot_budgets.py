from __future__ import annotations

import json

import pytest

import finished
from neft.reporting import figures
from neft.reporting.summary import rows
from neft.results import runs
from scripts.run_figures import plot_budgets

SERIES = {"NeFT": ["neft", "neft_random"], "others": ["lora", "in_out", "embed"]}


@pytest.fixture(scope="module")
def chosen():
    return [{**run, "metrics": ["chrf"]} for run in finished.runs()]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return finished.write(tmp_path_factory.mktemp("finished"), finished.runs())


@pytest.fixture(scope="module")
def table(root, chosen):
    (group,) = runs.group(runs.from_spec(chosen))
    return {row.method: row for row in rows(root, group, "full")}


def test_drawn_twice_the_figure_is_the_same_bytes(root, chosen, tmp_path):
    spec = json.dumps({"runs": chosen, "baseline": "full", "series": list(SERIES.items())})
    for name in "xy":
        paths = ["--png", str(tmp_path / f"{name}.png"), "--pdf", str(tmp_path / f"{name}.pdf")]
        plot_budgets.main(["--spec", spec, "--results", str(root), *paths])
    for kind in ("png", "pdf"):
        assert (tmp_path / f"x.{kind}").read_bytes() == (tmp_path / f"y.{kind}").read_bytes()


def test_a_line_connects_a_series_by_size_with_intervals(table):
    _, axes = figures.panels(1, 1, 4, 3)
    plot_budgets.draw(axes[0, 0], table, SERIES, "full")
    lines = [line for line, _, _ in axes[0, 0].containers]
    ordered = [table[name] for name in ("lora", "embed", "in_out")]
    assert list(lines[1].get_ydata()) == [row.results["chrf"].value.value for row in ordered]
    assert lines[1].get_xdata() == pytest.approx([row.percent for row in ordered], rel=0.02)
    _, _, (bars,) = axes[0, 0].containers[1]
    ends = [sorted(segment[:, 1]) for segment in bars.get_segments()]
    assert ends == [
        pytest.approx([row.results["chrf"].low, row.results["chrf"].high]) for row in ordered
    ]
    assert axes[0, 0].get_xscale() == "log"


def test_the_baseline_is_a_line_across(table):
    _, axes = figures.panels(1, 1, 4, 3)
    plot_budgets.draw(axes[0, 0], table, SERIES, "full")
    across = [line for line in axes[0, 0].lines if line.get_label() == "full"]
    assert [set(line.get_ydata()) for line in across] == [
        {table["full"].results["chrf"].value.value}
    ]
