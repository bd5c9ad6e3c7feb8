"""Which runs a configuration asks for, and their baselines."""

from __future__ import annotations

from neft.workflow.plan.runs import RunPlan
from shipped import SHIPPED, load


def test_the_untuned_model_is_one_run_whatever_the_seeds():
    runs = RunPlan(load(seeds=[1, 2, 3])).all()
    assert [run.seed for run in runs if run.method == "base"] == [0]
    assert [run.seed for run in runs if run.method == "neft"] == [1, 2, 3]


def test_experiments_that_share_a_run_list_it_once():
    experiments = SHIPPED["experiments"] * 2
    assert RunPlan(load(experiments=experiments)).all() == RunPlan(load()).all()
