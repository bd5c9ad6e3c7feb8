"""Runs and rule params made from a configuration."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import yaml

from neft import config
from neft.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())


def plan(**changes):
    return Plan(config.load(copy.deepcopy(SHIPPED) | changes))


def test_the_untuned_model_is_one_run_whatever_the_seeds():
    runs = plan(seeds=[1, 2, 3]).runs()
    assert [run.seed for run in runs if run.method == "base"] == [0]
    assert [run.seed for run in runs if run.method == "neft"] == [1, 2, 3]


def test_experiments_that_share_a_run_list_it_once():
    experiments = SHIPPED["experiments"] * 2
    assert plan(experiments=experiments).runs() == plan().runs()


def test_a_trial_is_named_by_its_learning_rate():
    methods = copy.deepcopy(SHIPPED["methods"])
    methods["neft"]["learning_rate"] = [1e-4, 0.002]
    assert list(plan(methods=methods).trials("neft")) == ["lr0.0001", "lr0.002"]


def test_the_baseline_of_a_seed_is_that_of_the_same_seed():
    w = SimpleNamespace(model="smollm2-135m-instruct", dataset="ui-en-fr", method="neft", seed="2", test="ui-en-fr")
    assert plan(seeds=[1, 2]).baseline(w).seed == 2


def test_the_baseline_of_the_untuned_model_is_that_of_the_first_seed():
    w = SimpleNamespace(model="smollm2-135m-instruct", dataset="untuned", method="base", seed="0", test="ui-en-fr")
    baseline = plan(seeds=[2, 1]).baseline(w)
    assert (baseline.method, baseline.seed, baseline.dataset) == ("full", 2, "ui-en-fr")


def test_a_split_knows_only_the_sizes_that_move_it():
    splits = SHIPPED["datasets"]["ui-en-fr"]["splits"]
    larger = copy.deepcopy(SHIPPED["datasets"])
    larger["ui-en-fr"]["splits"]["test"] += 1
    for split in ("train", "dev", "test"):
        w = SimpleNamespace(dataset="ui-en-fr", split=split)
        same = plan().split_dataset(w) == plan(datasets=larger).split_dataset(w)
        assert same == (split != "test")
    assert splits["test"] > 0


def test_loras_rank_is_the_nearest_to_nefts_parameters():
    """30 layers of SmolLM2-135M: q and o 576 to 576, k and v 576 to 192, gate, up and down 576 to 1,536."""
    rank = SHIPPED["methods"]["lora"]["rank"]
    per_rank = 30 * (2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536))
    budget = round(SHIPPED["masks"]["low-similarity"]["fraction"] * 134_515_008 / 576) * 576
    assert min(range(1, 200), key=lambda r: abs(r * per_rank - budget)) == rank


def test_params_are_json_texts():
    w = SimpleNamespace(
        model="smollm2-135m-instruct",
        dataset="ui-en-fr",
        method="neft",
        trial="lr0.0005",
        seed="1",
        test="ui-en-fr",
        metric="bleu",
    )
    for rule in (
        "prepare_model",
        "read_source",
        "train_probe",
        "compare_neurons",
        "choose_trial",
        "generate_outputs",
        "score_outputs",
    ):
        assert isinstance(json.loads(getattr(plan(), rule)(w)), dict)


def test_rows_to_skip_move_train_and_dev_and_are_kept_from_test():
    datasets = copy.deepcopy(SHIPPED["datasets"])
    datasets["ui-en-fr"]["splits"] = {"train": 20, "dev": 4, "test": 8, "skip": 20}

    def sizes(split: str) -> dict:
        return json.loads(plan(datasets=datasets).split_dataset(SimpleNamespace(dataset="ui-en-fr", split=split)))["sizes"]

    assert sizes("train") == {"train": 20, "skip": 20}
    assert sizes("dev") == {"dev": 4, "train": 20, "skip": 20}
    assert sizes("test") == {"test": 8, "reserved": 44}


def test_a_source_in_its_own_order_has_no_seed():
    datasets = copy.deepcopy(SHIPPED["datasets"])
    datasets["ui-en-fr"]["splits"]["shuffle"] = False
    w = SimpleNamespace(dataset="ui-en-fr")
    assert json.loads(plan(datasets=datasets).read_source(w))["seed"] is None
    assert json.loads(plan().read_source(w))["seed"] == 1


def test_the_parts_of_a_join_are_fetched_each_for_itself():
    hub = {
        "kind": "hub",
        "repo": "openlanguagedata/flores_plus",
        "revision": "a" * 40,
        "columns": {"pivot": "id", "text": "text"},
    }
    left, right = hub | {"files": ["devtest/fra_Latn.parquet"]}, hub | {"files": ["devtest/cmn_Hans.parquet"]}
    datasets = SHIPPED["datasets"] | {"fr-zh": copy.deepcopy(SHIPPED["datasets"]["ui-en-fr"])}
    datasets["fr-zh"]["source"] = {"kind": "pivot", "left": left, "right": right}
    made = plan(datasets=datasets)
    assert list(made.hubs) == [("datasets", "fr-zh+left"), ("datasets", "fr-zh+right")]
    w = SimpleNamespace(kind="datasets", key="fr-zh+right")
    assert json.loads(made.fetch_hub(w))["patterns"] == ["devtest/cmn_Hans.parquet"]
    assert json.loads(made.read_source(SimpleNamespace(dataset="fr-zh")))["shares"] == [1, 1]
    code = made.read_source_code(SimpleNamespace(dataset="fr-zh"))
    assert code != made.read_source_code(SimpleNamespace(dataset="ui-en-fr"))
