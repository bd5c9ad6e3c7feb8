"""Which pairs of methods test a claim of the publication."""

from __future__ import annotations

import copy
from pathlib import Path

import yaml

from neft.config import loader
from neft.workflow import claims
from neft.workflow.plan.paper import PaperPlan
from neft.workflow.plan.runs import RunPlan
from neft.workflow.plan.score import Place, ScorePlan

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())


def load(masks=(), methods=(), **changes):
    """The shipped configuration with more masks, and methods that are added to its experiment."""
    values = copy.deepcopy(SHIPPED)
    values["datasets"]["other"] = values["datasets"]["ui-en-fr"]
    values["masks"] |= dict(masks)
    values["methods"] |= {
        name: {"kind": "neft", "learning_rate": 1e-3} | block
        for name, block in dict(methods).items()
    }
    values["experiments"][0]["methods"] += list(dict(methods))
    return loader.load(values | changes)


def pairs(config):
    return {tuple(pair) for pair in claims.pairs(config, config.experiments[0])}


def test_the_demo_tests_four_claims():
    assert pairs(load()) == {
        ("full", "neft", "full"),
        ("lora", "neft", "lora"),
        ("random", "neft", "neft_random"),
        ("reversed", "neft", "neft_reversed"),
    }


def test_controls_are_compared_at_equal_size_only():
    found = pairs(
        load({"small": {"kind": "random", "fraction": 0.03}}, {"neft_small": {"mask": "small"}})
    )
    assert not any("neft_small" in pair for pair in found)


def test_low_neurons_with_reversed_ones_meet_as_many_low_ones():
    masks = {
        "low-3": {"kind": "similarity", "fraction": 0.03},
        "high-6": {"kind": "reversed", "fraction": 0.06},
        "mixed": {"kind": "union", "of": ["low-3", "high-6"]},
    }
    found = pairs(load(masks, {"neft_mixed": {"mask": "mixed"}}))
    assert ("reversed", "neft", "neft_mixed") in found
    assert not any(pair[1] == "neft_mixed" for pair in found)


def test_early_and_transferred_masks_meet_those_of_their_size_and_no_baseline():
    masks = {"early": {"kind": "similarity", "fraction": 0.09, "step": 4}}
    methods = {
        "neft_early": {"mask": "early"},
        "neft_trans": {"mask": "low-similarity", "mask_from": "other"},
    }
    found = pairs(load(masks, methods))
    assert {pair for pair in found if pair[1] in methods} == {
        ("early", "neft_early", "neft"),
        ("transferred", "neft_trans", "neft"),
    }


def test_a_classifiers_neurons_are_the_publications_own_but_no_similar_ones():
    masks = {"gradients": {"kind": "gradient", "fraction": 0.09}}
    found = pairs(load(masks, {"neft_gradients": {"mask": "gradients"}}))
    assert {pair for pair in found if pair[1] == "neft_gradients"} == {
        ("full", "neft_gradients", "full"),
        ("lora", "neft_gradients", "lora"),
    }


def test_claims_are_judged_by_the_first_metric():
    plan = PaperPlan(ScorePlan(RunPlan(load())))
    assert list(plan.claims) == [Place("smollm2-135m-instruct", "ui-en-fr", "ui-en-fr", "chrf")]


def test_methods_meet_the_baseline_and_those_that_claims_are_about_each_pair_once():
    plan = ScorePlan(RunPlan(load()))
    for metric in ("chrf", "bleu"):
        pairs = plan.pairs[Place("smollm2-135m-instruct", "ui-en-fr", "ui-en-fr", metric)]
        methods = [name for name in SHIPPED["experiments"][0]["methods"] if name != "full"]
        assert pairs == [
            *((method, "full") for method in methods),
            *(("neft", other) for other in ("lora", "neft_random", "neft_reversed")),
        ]


def test_duels_are_compared_in_every_metric_on_every_test_set():
    experiment = SHIPPED["experiments"][0] | {"test": ["ui-en-fr", "other"], "tables": ["t7"]}
    table = {
        "kind": "duels",
        "title": "Duels",
        "rows": ["lora", "embed"],
        "columns": ["neft", "full"],
    }
    plan = ScorePlan(RunPlan(load(experiments=[experiment], tables={"t7": table})))
    assert {place[2:] for place in plan.pairs} == {
        (test, m) for test in ("ui-en-fr", "other") for m in ("bleu", "chrf", "loss")
    }
    place = Place("smollm2-135m-instruct", "ui-en-fr", "other", "bleu")
    assert {("neft", "lora"), ("neft", "embed")} < set(plan.pairs[place])
    assert ("full", "lora") not in plan.pairs[place], "full is the baseline: (lora, full) is there"
