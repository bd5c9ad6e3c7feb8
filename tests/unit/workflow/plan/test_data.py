"""Sources and splits: what is fetched, read and cut."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace

from neft.workflow.plan.data import DataPlan
from shipped import SHIPPED, load


def test_a_split_knows_only_the_sizes_that_move_it():
    splits = SHIPPED["datasets"]["ui-en-fr"]["splits"]
    larger = copy.deepcopy(SHIPPED["datasets"])
    larger["ui-en-fr"]["splits"]["test"] += 1
    for split in ("train", "dev", "test"):
        w = SimpleNamespace(dataset="ui-en-fr", split=split)
        same = DataPlan(load()).split_dataset(w) == DataPlan(load(datasets=larger)).split_dataset(w)
        assert same == (split != "test")
    assert splits["test"] > 0


def test_rows_to_skip_move_train_and_dev_and_are_kept_from_test():
    datasets = copy.deepcopy(SHIPPED["datasets"])
    datasets["ui-en-fr"]["splits"] = {"train": 20, "dev": 4, "test": 8, "skip": 20}

    def sizes(split: str) -> dict:
        return json.loads(
            DataPlan(load(datasets=datasets)).split_dataset(
                SimpleNamespace(dataset="ui-en-fr", split=split)
            )
        )["sizes"]

    assert sizes("train") == {"train": 20, "skip": 20}
    assert sizes("dev") == {"dev": 4, "train": 20, "skip": 20}
    assert sizes("test") == {"test": 8, "reserved": 44}


def test_a_source_in_its_own_order_has_no_seed():
    datasets = copy.deepcopy(SHIPPED["datasets"])
    datasets["ui-en-fr"]["splits"]["shuffle"] = False
    w = SimpleNamespace(dataset="ui-en-fr")
    assert json.loads(DataPlan(load(datasets=datasets)).read_source(w))["seed"] is None
    assert json.loads(DataPlan(load()).read_source(w))["seed"] == 1


def test_the_parts_of_a_join_are_fetched_each_for_itself():
    hub = {
        "kind": "hub",
        "repo": "openlanguagedata/flores_plus",
        "revision": "a" * 40,
        "columns": {"pivot": "id", "text": "text"},
    }
    left, right = (
        hub | {"files": ["devtest/fra_Latn.parquet"]},
        hub | {"files": ["devtest/cmn_Hans.parquet"]},
    )
    datasets = SHIPPED["datasets"] | {"fr-zh": copy.deepcopy(SHIPPED["datasets"]["ui-en-fr"])}
    datasets["fr-zh"]["source"] = {"kind": "pivot", "left": left, "right": right}
    made = DataPlan(load(datasets=datasets))
    assert list(made.hubs) == [("datasets", "fr-zh+left"), ("datasets", "fr-zh+right")]
    w = SimpleNamespace(kind="datasets", key="fr-zh+right")
    assert json.loads(made.fetch_hub(w))["patterns"] == ["devtest/cmn_Hans.parquet"]
    assert json.loads(made.read_source(SimpleNamespace(dataset="fr-zh")))["shares"] == [1, 1]
    code = made.read_source_code(SimpleNamespace(dataset="fr-zh"))
    assert code != made.read_source_code(SimpleNamespace(dataset="ui-en-fr"))


def test_a_source_that_makes_its_own_rows_needs_no_file(monkeypatch):
    from neft.data.sources import files

    monkeypatch.setattr(files, "local_paths", lambda spec, folder: [])
    datasets = copy.deepcopy(SHIPPED["datasets"])
    datasets["ui-en-fr"]["source"] = {
        "kind": "files",
        "paths": "numbers.csv",
        "columns": {"source": "en", "target": "fr"},
    }
    plan = DataPlan(load(datasets=datasets))
    assert plan.source_inputs("datasets", "ui-en-fr") == {"paths": [], "content": [], "fetched": []}
    assert json.loads(plan.read_source(SimpleNamespace(dataset="ui-en-fr")))["shares"] == [0]
