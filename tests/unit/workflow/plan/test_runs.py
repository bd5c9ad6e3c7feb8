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


def test_experiments_that_share_a_run_score_it_by_the_metrics_of_both():
    one = SHIPPED["experiments"][0]
    texts, losses = one | {"metrics": ["chrf"]}, one | {"metrics": ["loss"]}
    for experiments in ([texts, losses], [losses, texts]):
        runs = RunPlan(load(experiments=experiments)).all()
        assert len(runs) == len(one["methods"])
        assert all(set(run.metrics) == {"chrf", "loss"} and run.generated for run in runs)


def test_nothing_is_generated_where_every_metric_reads_losses():
    experiments = [SHIPPED["experiments"][0] | {"metrics": ["loss"]}]
    plan = RunPlan(load(experiments=experiments))
    assert not any(run.generated for run in plan.all())
    assert plan.files("outputs") == []
    assert len(plan.files("scores")) == len(plan.all())
