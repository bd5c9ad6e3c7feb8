"""Which runs a configuration asks for, and their baselines."""

from __future__ import annotations

from types import SimpleNamespace

from neft.workflow.plan.runs import RunPlan
from shipped import SHIPPED, load


def test_the_untuned_model_is_one_run_whatever_the_seeds():
    runs = RunPlan(load(seeds=[1, 2, 3])).all()
    assert [run.seed for run in runs if run.method == "base"] == [0]
    assert [run.seed for run in runs if run.method == "neft"] == [1, 2, 3]


def test_experiments_that_share_a_run_list_it_once():
    experiments = SHIPPED["experiments"] * 2
    assert RunPlan(load(experiments=experiments)).all() == RunPlan(load()).all()


def test_the_baseline_of_a_seed_is_that_of_the_same_seed():
    w = SimpleNamespace(
        model="smollm2-135m-instruct", dataset="ui-en-fr", method="neft", seed="2", test="ui-en-fr"
    )
    assert RunPlan(load(seeds=[1, 2])).baseline(w).seed == 2


def test_the_baseline_of_the_untuned_model_is_that_of_the_first_seed():
    w = SimpleNamespace(
        model="smollm2-135m-instruct", dataset="untuned", method="base", seed="0", test="ui-en-fr"
    )
    baseline = RunPlan(load(seeds=[2, 1])).baseline(w)
    assert (baseline.method, baseline.seed, baseline.dataset) == ("full", 2, "ui-en-fr")
