"""Masks of every kind in a real run: of another dataset, an early step, a file, united; and what
reruns with them.
"""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from harness import SIDE_BY_SIDE, Workflow

from neft.core.mask import NeuronMask, overlap
from neft.selection.similarity import load_scores
from neft.storage.files import read_json

MASKS = "results/tiny/mask/tiny-llama"
NEW = ("neft_trans", "neft_early", "neft_both", "neft_gradient", "neft_file")
TARGETS = [f"results/tiny/tune/tiny-llama/pairs/{method}/seed1/chosen/delta.json" for method in NEW]
SELECTED = [
    f"{MASKS}/nli/seed1/probe.safetensors",
    *(f"{MASKS}/pairs/seed1/{name}.safetensors" for name in ("contrast", "uneven")),
    f"{MASKS}/pairs/seed5/taylor.safetensors",
]
LABELS = {"same": "yes", "other": "no"}


def extend(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The tiny configuration with two more datasets and the masks and methods that are new here."""
    config = copy.deepcopy(config)
    pairs = config["datasets"]["pairs"]
    config["datasets"]["other"] = pairs | {"splits": pairs["splits"] | {"seed": 2}}
    config["datasets"]["nli"] = {
        "task": {
            "kind": "nli",
            "language": "en",
            "labels": LABELS,
            "prompt": "{premise}: {hypothesis}?",
        },
        "source": {"kind": "files", "paths": [str(folder / "nli.jsonl")]},
        "splits": {"seed": 1, "train": 24, "dev": 8},
    }
    config["masks"] |= {
        "early": {"kind": "similarity", "fraction": 0.09, "step": 1},
        "both": {
            "kind": "union",
            "of": ["low", {"mask": "low", "dataset": "other"}],
            "refill": True,
        },
        "gradient": {"kind": "gradient", "fraction": 0.09, "batches": 2},
        "file": {"kind": "file", "path": str(folder / "mask.safetensors")},
        "probe": {"kind": "probe", "fraction": 0.09},
        "contrast": {"kind": "contrast", "fraction": 0.09},
        "uneven": {"kind": "activation", "fraction": 0.09, "datasets": ["other"]},
        "taylor": {"kind": "taylor", "fraction": 0.09, "batches": 1, "seed": 5},
    }
    masks = {"neft_trans": {"mask": "low", "mask_from": "other"}} | {
        m: {"mask": m.removeprefix("neft_")} for m in NEW[1:]
    }
    for method, block in masks.items():
        config["methods"][method] = {"kind": "neft", "learning_rate": 1.0e-2} | block
        config["experiments"][0]["methods"].append(method)
    return config


@pytest.fixture(scope="module")
def extended(finished, tmp_path_factory) -> Workflow:
    """A copy of the finished workflow in which the new methods were tuned; `planned` holds the jobs
    that it took.
    """
    folder = tmp_path_factory.mktemp("masks")
    rows = [
        {
            "premise": f"file {n} is {'open' if n % 2 else 'shut'}",
            "hypothesis": "it is open",
            "label": ["other", "same"][n % 2],
        }
        for n in range(40)
    ]
    (folder / "nli.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.copy(
        finished.folder / MASKS / "pairs/seed1/random.safetensors", folder / "mask.safetensors"
    )
    workflow = Workflow(folder / "neft", finished.config)
    for part in ("results", ".snakemake"):
        shutil.copytree(finished.folder / part, workflow.folder / part)
    workflow.configure(extend(finished.config, folder))
    workflow.planned = workflow.would_run(*TARGETS, *SELECTED)
    workflow.snakemake(*TARGETS, *SELECTED, *SIDE_BY_SIDE)
    return workflow


@pytest.fixture
def workflow(extended):
    """The extended workflow; its configuration is put back afterwards."""
    config = copy.deepcopy(extended.config)
    yield extended
    extended.configure(config)


def mask(workflow: Workflow, dataset: str, name: str) -> NeuronMask:
    return NeuronMask.load(workflow.folder / MASKS / dataset / f"seed1/{name}.safetensors")


def test_each_mask_takes_its_own_jobs_and_shares_what_is_there(extended):
    expected = {f"read_source {name}" for name in ("other", "nli")}
    expected |= {
        f"split_dataset {name} {split}" for name in ("other", "nli") for split in ("train", "dev")
    }
    expected |= {"train_probe other", "compare_neurons other", "select_neurons other low"}
    expected |= {
        "train_probe pairs -step1",
        "compare_neurons pairs -step1",
        "select_neurons pairs early",
    }
    expected |= {"sum_gradients pairs gradient", "select_neurons pairs gradient"}
    expected |= {
        "select_neurons pairs both",
        "select_neurons pairs file",
        "read_states nli",
        "select_neurons nli probe",
    }
    expected |= {
        "train_probe pairs -noise",
        "compare_neurons pairs -noise",
        "select_neurons pairs contrast",
        "read_activations pairs",
        "read_activations other",
        "select_neurons pairs uneven",
        "sum_gradients pairs taylor",
        "select_neurons pairs taylor",
    }
    expected |= {f"tune_model pairs {method} lr0.01" for method in NEW} | {
        f"choose_trial pairs {method}" for method in NEW
    }
    assert extended.planned == expected


def test_a_method_trains_the_mask_of_the_dataset_that_it_names(extended):
    low, trans = mask(extended, "pairs", "low"), mask(extended, "other", "low")
    assert low.sha256 != trans.sha256
    metrics = read_json(
        extended.folder / "results/tiny/tune/tiny-llama/pairs/neft_trans/seed1/chosen/metrics.json"
    )
    assert metrics["trainable_parameters"] == trans.parameters
    ours = read_json(
        extended.folder / "results/tiny/tune/tiny-llama/pairs/neft/seed1/chosen/metrics.json"
    )
    assert (
        metrics["mask_sha256"] != ours["mask_sha256"]
        and metrics["data_sha256"] == ours["data_sha256"]
    )


def test_an_early_mask_is_another_one_of_the_same_size(extended):
    low, early = mask(extended, "pairs", "low"), mask(extended, "pairs", "early")
    assert low.count == early.count and low.sha256 != early.sha256
    history = extended.folder / "results/tiny/probe/tiny-llama/pairs"
    last, first = (
        (history / name / "history.jsonl").read_text().splitlines()
        for name in ("seed1", "seed1-step1")
    )
    assert json.loads(first[0])["loss"] == json.loads(last[0])["loss"]


def test_a_refilled_union_has_as_many_neurons_as_its_parts_together(extended):
    parts = [mask(extended, dataset, "low") for dataset in ("pairs", "other")]
    both = mask(extended, "pairs", "both")
    assert overlap(*parts).shared > 0
    assert both.count == both.budget == sum(part.budget for part in parts)
    assert all(overlap(both, part).shared == part.count for part in parts)
    record = read_json(extended.folder / MASKS / "pairs/seed1/both.json")
    assert record["report"] == {"parts": [part.budget for part in parts]}


def test_a_mask_from_a_file_holds_the_files_neurons(extended):
    taken, given = mask(extended, "pairs", "file"), mask(extended, "pairs", "random")
    assert overlap(taken, given).shared == taken.count == given.count


def test_the_probes_accuracy_is_recorded_for_each_layer(extended):
    report = read_json(extended.folder / MASKS / "nli/seed1/probe.json")["report"]
    assert (
        len(report["accuracy"]) == 2
        and report["classes"] == ["no", "yes"]
        and report["rows"] == {"train": 24, "dev": 8}
    )


def test_nothing_reruns_by_itself(workflow):
    assert workflow.would_run(*TARGETS, *SELECTED) == set()


def test_more_batches_rerun_the_gradient_masks_chain(workflow):
    workflow.config["masks"]["gradient"]["batches"] = 3
    workflow.configure(workflow.config)
    expected = {"sum_gradients pairs gradient", "select_neurons pairs gradient"}
    assert workflow.would_run(*TARGETS) == expected | {
        "tune_model pairs neft_gradient lr0.01",
        "choose_trial pairs neft_gradient",
    }


def test_a_parts_budget_reruns_the_union(workflow):
    workflow.config["masks"]["low"]["fraction"] = 0.08
    workflow.configure(workflow.config)
    expected = {"select_neurons other low", "select_neurons pairs both"}
    for method in ("neft_trans", "neft_both"):
        expected |= {f"tune_model pairs {method} lr0.01", f"choose_trial pairs {method}"}
    assert workflow.would_run(*TARGETS) == expected


def test_a_mask_of_the_last_step_needs_no_further_probe_and_one_gone_takes_nothing_with_it(
    workflow,
):
    workflow.config["masks"]["last"] = {"kind": "magnitude", "fraction": 0.09, "step": 2}
    workflow.configure(workflow.config)
    target = f"{MASKS}/pairs/seed1/last.safetensors"
    assert workflow.would_run(target, *TARGETS) == {"select_neurons pairs last"}
    assert workflow.would_run(*TARGETS) == set()


def test_a_mask_of_another_step_runs_its_probe_up_to_there_and_nothing_else(workflow):
    workflow.config["masks"]["later"] = {"kind": "magnitude", "fraction": 0.09, "step": 1}
    del workflow.config["masks"]["early"], workflow.config["methods"]["neft_early"]
    workflow.config["experiments"][0]["methods"].remove("neft_early")
    workflow.configure(workflow.config)
    target = f"{MASKS}/other/seed1/later.safetensors"
    assert workflow.would_run(target, *(target for target in TARGETS if "early" not in target)) == {
        "train_probe other -step1",
        "compare_neurons other -step1",
        "select_neurons other later",
    }


def test_another_mask_in_the_file_reruns_what_it_is_for(workflow):
    path = Path(workflow.config["masks"]["file"]["path"])
    content = path.read_bytes()
    mask(workflow, "pairs", "high").save(path)
    try:
        jobs = workflow.would_run(*TARGETS)
    finally:
        path.write_bytes(content)
    assert jobs == {
        "select_neurons pairs file",
        "tune_model pairs neft_file lr0.01",
        "choose_trial pairs neft_file",
    }


def test_a_probe_on_noise_moves_other_neurons_than_one_on_the_task(extended):
    task, noise = (
        load_scores(
            extended.folder / f"results/tiny/similarity/tiny-llama/pairs/seed1{variant}.safetensors"
        )
        for variant in ("", "-noise")
    )
    assert all((task[key] != noise[key]).any() for key in task)
    metrics = [
        read_json(
            extended.folder / f"results/tiny/probe/tiny-llama/pairs/seed1{variant}/metrics.json"
        )
        for variant in ("", "-noise")
    ]
    # As long a training, on as many tokens.
    assert len({(one["steps"], one["train_tokens"]) for one in metrics}) == 1


def test_records_say_what_rankings_follow(extended):
    for name in ("contrast", "uneven", "low"):
        found = read_json(extended.folder / MASKS / f"pairs/seed1/{name}.json")
        assert set(found["explained"]) == {"norm", "layer", "module"}, name
        assert all(0 <= share <= 1 for share in found["explained"].values())
