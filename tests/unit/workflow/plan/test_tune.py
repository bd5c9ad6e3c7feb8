"""Trials, and what a training is told."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace

from neft.workflow.plan.tune import TunePlan
from shipped import SHIPPED, load


def test_a_trial_is_named_by_its_learning_rate():
    methods = copy.deepcopy(SHIPPED["methods"])
    methods["neft"]["learning_rate"] = [1e-4, 0.002]
    grid = TunePlan(load(methods=methods)).grid("neft")
    assert [trial.name for trial in grid] == ["lr0.0001", "lr0.002"]


def test_a_trial_beyond_the_grid_has_its_own_rate_and_the_methods_other_settings():
    methods = copy.deepcopy(SHIPPED["methods"])
    methods["lora"]["learning_rate"] = [1e-4, 0.002]
    plan = TunePlan(load(methods=methods))
    inside, beyond = plan.trial("lora", "lr0.002"), plan.trial("lora", "lr0.04")
    assert beyond["method"] == inside["method"] | {"learning_rate": 0.04}
    assert beyond["training"] == inside["training"]


def test_only_a_method_with_several_rates_is_searched():
    methods = copy.deepcopy(SHIPPED["methods"])
    methods["neft"]["learning_rate"] = [1e-4, 0.002]
    plan = TunePlan(load(methods=methods), lambda w, number: ["lr0.04", None][number])
    assert (plan.rounds("neft"), plan.rounds("full")) == (3, 0)
    w = SimpleNamespace(method="neft")
    assert plan.tried(w, 3) == ["lr0.0001", "lr0.002", "lr0.04"]
    assert plan.tried(w, 0) == ["lr0.0001", "lr0.002"]
    assert TunePlan(load(methods=methods, search={"extensions": 0})).rounds("neft") == 0


def test_a_grid_of_epochs_multiplies_that_of_learning_rates_and_names_both():
    methods = copy.deepcopy(SHIPPED["methods"])
    methods["neft"] |= {"learning_rate": [1e-4, 0.002], "epochs": [1, 2.5]}
    found = TunePlan(load(methods=methods))
    assert [trial.name for trial in found.grid("neft")] == [
        "lr0.0001-ep1",
        "lr0.0001-ep2.5",
        "lr0.002-ep1",
        "lr0.002-ep2.5",
    ]
    w = SimpleNamespace(
        model="smollm2-135m-instruct",
        dataset="ui-en-fr",
        method="neft",
        seed="1",
        trial="lr0.002-ep2.5",
    )
    told = json.loads(found.tune_model(w))
    assert (told["training"]["epochs"], told["method"]["learning_rate"]) == (
        2.5,
        0.002,
    ) and "epochs" not in told["method"]


def test_a_method_without_epochs_is_told_what_it_was_told_before_there_were_any():
    w = SimpleNamespace(
        model="smollm2-135m-instruct", dataset="ui-en-fr", method="full", seed="1", trial="lr0.0004"
    )
    told = json.loads(TunePlan(load()).tune_model(w))
    assert (
        told["method"] == {"kind": "full", "learning_rate": 4.0e-4}
        and told["training"]["epochs"] == 1
    )


def test_loras_rank_is_the_nearest_to_nefts_parameters():
    """30 layers of SmolLM2-135M: q and o 576 to 576, k and v 576 to 192, gate, up and down 576 to
    1,536.
    """
    rank = SHIPPED["methods"]["lora"]["rank"]
    per_rank = 30 * (2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536))
    budget = round(SHIPPED["masks"]["low-similarity"]["fraction"] * 134_515_008 / 576) * 576
    assert min(range(1, 200), key=lambda r: abs(r * per_rank - budget)) == rank
