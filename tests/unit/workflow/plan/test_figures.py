"""Which figures a configuration asks for, and what they are drawn from."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from neft.config import loader
from neft.workflow.plan.neuron_figures import NeuronFigurePlan
from neft.workflow.plan.run_figures import RunFigurePlan
from neft.workflow.plan.runs import RunPlan

SHIPPED = yaml.safe_load((Path(__file__).resolve().parents[4] / "config.yaml").read_text())
MODEL = "smollm2-135m-instruct"


@pytest.fixture
def figures():
    """Two training sets, each tested on both, and two seeds."""
    found = copy.deepcopy(SHIPPED) | {"seeds": [1, 2]}
    found["datasets"]["other"] = found["datasets"]["ui-en-fr"]
    first = found["experiments"][0]
    found["experiments"] = [
        first | {"test": ["ui-en-fr", "other"]},
        first | {"train": "other", "test": ["other"], "methods": ["base", "full", "neft"]},
    ]
    found["figures"] = {
        "sizes": {
            "kind": "budgets",
            "model": MODEL,
            "train": ["ui-en-fr", "other"],
            "metric": "chrf",
            "series": {"NeFT": ["neft"], "LoRA": ["neft"]},
        },
        "chosen": {
            "kind": "losses",
            "model": MODEL,
            "train": "other",
            "rows": {"NeFT first": ["neft", "full"]},
        },
    }
    return RunFigurePlan(RunPlan(loader.load(found)))


def test_every_training_set_has_its_figures_beside_the_named_ones(figures):
    own = ["scores", "costs", "losses", "neurons", "similarity"]
    expected = {f"{figure}_{MODEL}_{train}" for figure in own for train in ("ui-en-fr", "other")}
    names = figures.names() + NeuronFigurePlan(figures.config).names()
    assert set(names) == expected | {"sizes", "chosen"}


def test_the_untuned_model_stands_beside_the_training_set_on_the_same_tests(figures):
    untuned = {(run.method, run.test) for run in figures.runs(MODEL, "other") if not run.tuned}
    assert untuned == {("base", "other")}
    assert {run.dataset for run in figures.runs(MODEL, "other")} == {"untuned", "other"}


def test_a_figure_of_losses_shows_each_tuning_once_whatever_it_is_tested_on(figures):
    ((_, runs),) = figures.loss_runs(f"losses_{MODEL}_ui-en-fr")
    tuned = [name for name in SHIPPED["methods"] if name != "base"]
    assert [(run.method, run.seed) for run in runs] == [
        (name, seed) for name in tuned for seed in (1, 2)
    ]


def test_rows_of_a_chosen_figure_keep_the_order_of_the_configuration(figures):
    ((title, runs),) = figures.loss_runs("chosen")
    assert (title, [(run.method, run.seed) for run in runs]) == (
        "NeFT first",
        [("neft", 1), ("neft", 2), ("full", 1), ("full", 2)],
    )


def test_a_figure_of_budgets_shows_its_series_and_the_baseline_on_every_common_test_set(figures):
    runs = figures.budget_runs("sizes")
    assert {run.method for run in runs} == {"neft", "full"}
    assert {(run.dataset, run.test) for run in runs} == {
        ("ui-en-fr", "ui-en-fr"),
        ("ui-en-fr", "other"),
        ("other", "other"),
    }
    assert {run.metrics for run in runs} == {("chrf",)}
    assert json.loads(figures.plot_budgets(SimpleNamespace(budgets="sizes")))["series"] == [
        ["NeFT", ["neft"]],
        ["LoRA", ["neft"]],
    ]
