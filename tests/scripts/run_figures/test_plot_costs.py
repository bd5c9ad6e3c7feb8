from __future__ import annotations

import json

import pytest

import finished
from neft.reporting import figures
from neft.reporting.summary import rows
from neft.results import runs
from scripts.run_figures import plot_costs


@pytest.fixture(scope="module")
def chosen():
    return [{**run, "metrics": ["chrf"]} for run in finished.runs()]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return finished.write(tmp_path_factory.mktemp("finished"), finished.runs())


def test_drawn_twice_the_figure_is_the_same_bytes(root, chosen, tmp_path):
    spec = json.dumps({"runs": chosen})
    for name in "xy":
        paths = ["--png", str(tmp_path / f"{name}.png"), "--pdf", str(tmp_path / f"{name}.pdf")]
        plot_costs.main(["--spec", spec, "--results", str(root), *paths])
    for kind in ("png", "pdf"):
        assert (tmp_path / f"x.{kind}").read_bytes() == (tmp_path / f"y.{kind}").read_bytes()


def test_a_method_stands_where_its_cost_and_score_are_and_the_untuned_model_is_a_line(root, chosen):
    (group,) = runs.group(runs.from_spec(chosen))
    table = rows(root, group, "full")
    _, axes = figures.panels(1, 1, 4, 3)
    plot_costs.draw(axes[0, 0], table, "peak_memory_bytes", figures.styles(finished.METHODS))
    marks = {line.get_label(): line for line in axes[0, 0].lines}
    for row in table:
        score = row.results["chrf"].value.value
        if row.method == "base":
            assert set(marks["base"].get_ydata()) == {score}
        else:
            (x,), (y,) = marks[row.method].get_data()
            assert (x, y) == (pytest.approx(row.costs["peak_memory_bytes"] / 2**30), score)
