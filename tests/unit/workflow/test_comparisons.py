"""Which methods are compared with which."""

from __future__ import annotations

import copy

from neft.workflow import comparisons
from shipped import SHIPPED, load

PLACE = ("smollm2-135m-instruct", "ui-en-fr", "ui-en-fr")


def test_each_method_meets_the_baseline_and_claims_add_theirs_in_the_first_metric():
    found = comparisons.pairs(load())
    methods = SHIPPED["experiments"][0]["methods"]
    with_baseline = [(method, "full") for method in methods if method != "full"]
    claims = [("neft", "lora"), ("neft", "neft_random"), ("neft", "neft_reversed")]
    assert {place: pairs for place, pairs in found.items()} == {
        (*PLACE, "chrf"): with_baseline + claims,
        (*PLACE, "bleu"): with_baseline,
    }


def test_duels_add_theirs_in_every_metric_and_no_pair_is_there_twice():
    experiment = SHIPPED["experiments"][0] | {"tables": ["duels"]}
    duels = {
        "kind": "duels",
        "title": "Duels",
        "rows": ["lora", "neft"],
        "columns": ["full", "neft_random"],
    }
    found = comparisons.pairs(load(tables={"duels": duels}, experiments=[experiment]))
    for metric in ("chrf", "bleu"):
        pairs = found[comparisons.Place(*PLACE, metric)]
        assert ("neft_random", "lora") in pairs and ("full", "lora") not in pairs
        assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    # That claim has it the other way round.
    assert ("neft_random", "neft") not in found[comparisons.Place(*PLACE, "chrf")]


def test_a_baseline_alone_is_compared_with_nothing():
    experiment = copy.deepcopy(SHIPPED["experiments"][0]) | {"methods": ["full"]}
    assert comparisons.pairs(load(experiments=[experiment])) == {}
