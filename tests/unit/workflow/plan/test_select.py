"""Which files a mask is chosen from, and what its rules are told."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace

from neft.config import mask_uses
from neft.config.model import Config
from neft.workflow.plan.select import SelectPlan
from neft.workflow.plan.tune import TunePlan
from shipped import SHIPPED, load

WHERE = {"model": "smollm2-135m-instruct", "dataset": "ui-en-fr", "seed": "1"}
RUN = "smollm2-135m-instruct/ui-en-fr/seed1"


def with_masks(masks, **methods) -> Config:
    """The shipped configuration with these masks as well, and a method for each of these blocks."""
    added = {
        name: {"kind": "neft", "learning_rate": 1e-3} | block for name, block in methods.items()
    }
    experiment = SHIPPED["experiments"][0] | {
        "methods": [*SHIPPED["experiments"][0]["methods"], *added]
    }
    other = copy.deepcopy(SHIPPED["datasets"]["ui-en-fr"])
    return load(
        masks=SHIPPED["masks"] | masks,
        methods=SHIPPED["methods"] | added,
        datasets=SHIPPED["datasets"] | {"other": other},
        experiments=[experiment],
    )


def inputs_of(config, mask):
    files = SelectPlan(config).select_neurons_inputs(SimpleNamespace(mask=mask, **WHERE))
    base = {"model", "model_record"}
    return {
        what: [str(path) for path in paths] for what, paths in files.items() if what not in base
    }


def test_an_early_mask_reads_the_probe_that_ends_early_and_the_last_step_is_the_default():
    last = SHIPPED["probe"]["steps"]
    found = with_masks(
        {f"at-{step}": {"kind": "magnitude", "neurons": 9, "step": step} for step in (2, last)}
    )
    for step, suffix in ((2, "-step2"), (last, "")):
        inputs = inputs_of(found, f"at-{step}")
        assert inputs == {
            "norms": [f"results/quickstart/similarity/{RUN}{suffix}.norms.safetensors"]
        }
    spec = json.loads(SelectPlan(found).train_probe(SimpleNamespace(variant="-step2", **WHERE)))
    assert spec.pop("stop") == 2
    assert spec == json.loads(SelectPlan(found).train_probe(SimpleNamespace(variant="", **WHERE)))


def test_a_refilled_union_reads_its_parts_scores_in_their_order_and_a_plain_one_their_masks():
    parts = ["low-similarity", {"mask": "high-similarity", "dataset": "other"}, "random"]
    found = with_masks(
        {
            kind: {"kind": "union", "of": parts, "refill": kind == "full"}
            for kind in ("full", "plain")
        }
    )
    other = RUN.replace("ui-en-fr", "other")
    assert inputs_of(found, "full") == {
        "distances": [f"results/quickstart/similarity/{run}.safetensors" for run in (RUN, other)]
    }
    masks = [f"{RUN}/low-similarity", f"{other}/high-similarity", f"{RUN}/random"]
    assert inputs_of(found, "plain") == {
        "masks": [f"results/quickstart/mask/{mask}.safetensors" for mask in masks]
    }
    spec = json.loads(SelectPlan(found).select_neurons(SimpleNamespace(mask="full", **WHERE)))
    assert [part["kind"] for part in spec["parts"]] == ["similarity", "reversed", "random"]


def test_a_mask_from_another_dataset_is_that_datasets_and_figures_say_so():
    found = with_masks({}, neft_trans={"mask": "low-similarity", "mask_from": "other"})
    w = SimpleNamespace(method="neft_trans", **WHERE)
    assert str(TunePlan(found).tune_model_inputs(w)["mask"]) == (
        f"results/quickstart/mask/{RUN.replace('ui-en-fr', 'other')}/low-similarity.safetensors"
    )
    names = list(mask_uses.shown(found, "smollm2-135m-instruct", "ui-en-fr"))
    assert names == ["low-similarity", "random", "high-similarity", "low-similarity (other)"]
    cuts = list(mask_uses.shown(found, "smollm2-135m-instruct", "ui-en-fr", reading="distances"))
    assert cuts == ["low-similarity", "high-similarity"]
    plan = TunePlan(found)
    (trial,) = plan.grid("neft_trans")
    assert trial.name == "lr0.001"
    assert not {"mask", "mask_from"} & plan.trial("neft_trans", trial.name)["method"].keys()


def test_only_masks_that_look_at_the_probe_decide_what_it_is_compared_in():
    found = with_masks({"more": {"kind": "gradient", "neurons": 9, "modules": ["q_proj"]}})
    assert json.loads(SelectPlan(found).compare_neurons(SimpleNamespace(**WHERE)))["modules"] == [
        "down_proj",
        "up_proj",
    ]


def test_a_probe_on_noise_is_another_probe_and_knows_its_step():
    found = with_masks(
        {
            "noise": {"kind": "similarity", "neurons": 9, "probe": "noise"},
            "early": {"kind": "similarity", "neurons": 9, "probe": "shuffled", "step": 2},
            "own": {"kind": "contrast", "neurons": 9},
        }
    )
    where = f"results/quickstart/similarity/{RUN}"
    assert inputs_of(found, "noise") == {"distances": [f"{where}-noise.safetensors"]}
    assert inputs_of(found, "early") == {"distances": [f"{where}-shuffled-step2.safetensors"]}
    assert inputs_of(found, "own") == {
        "distances": [f"{where}.safetensors"],
        "references": [f"{where}-noise.safetensors"],
    }
    told = SelectPlan(found).train_probe(SimpleNamespace(variant="-shuffled-step2", **WHERE))
    assert json.loads(told) | {"control": "shuffled", "stop": 2} == json.loads(told)


def test_a_mask_with_its_own_seed_is_one_for_all_runs():
    masks = {
        "fixed": {"kind": "similarity", "neurons": 9, "seed": 7},
        "like": {"kind": "matched", "of": "fixed"},
    }
    found = with_masks(masks, tuned={"mask": "fixed"})
    w = SimpleNamespace(method="tuned", **WHERE)
    mask = f"results/quickstart/mask/{RUN.replace('seed1', 'seed7')}/fixed.safetensors"
    assert str(TunePlan(found).tune_model_inputs(w)["mask"]) == mask
    assert inputs_of(found, "like") == {"masks": [mask]}
    cuts = mask_uses.shown(found, WHERE["model"], WHERE["dataset"], reading="distances")
    assert "fixed" not in cuts  # the figure shows the first seed's distances


def test_activations_are_read_on_every_dataset_that_is_named():
    found = with_masks({"loud": {"kind": "activation", "neurons": 9, "datasets": ["other"]}})
    where = "results/quickstart/activation/smollm2-135m-instruct"
    assert inputs_of(found, "loud") == {
        "activations": [f"{where}/ui-en-fr.safetensors", f"{where}/other.safetensors"]
    }
