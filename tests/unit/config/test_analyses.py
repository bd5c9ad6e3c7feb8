"""The `analyses` block: its mistakes, and what the rules get from it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from neft.config import loader
from neft.errors import NeftError
from neft.workflow.plan.analyse import AnalysePlan

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
MODEL, DATASET = "smollm2-135m-instruct", "ui-en-fr"
RANKS = {
    "model": MODEL,
    "dataset": DATASET,
    "pairs": [{"a": {"method": "base"}, "b": {"method": "neft"}}],
}
LOW = {"mask": "low-similarity", "dataset": "untrained"}
OVERLAP = {
    "model": MODEL,
    "dataset": DATASET,
    "pairs": [{"a": {"mask": "low-similarity"}, "b": {"mask": "random"}}],
}


def values(analyses: dict[str, Any], **more: Any) -> dict[str, Any]:
    found = copy.deepcopy(SHIPPED) | more | {"analyses": analyses}
    found["datasets"]["other"] = copy.deepcopy(found["datasets"][DATASET])
    found["datasets"]["untrained"] = copy.deepcopy(found["datasets"][DATASET])
    found["datasets"]["untrained"]["splits"]["train"] = 0
    return found


def plan(analyses: dict[str, Any], **more: Any) -> AnalysePlan:
    return AnalysePlan(loader.load(values(analyses, **more)))


def sides(a: dict[str, Any], b: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"a": a, "b": b}]


@pytest.mark.parametrize(
    ("analyses", "message"),
    [
        ({"ranks": {"r": RANKS | {"model": "gpt"}}}, f"ranks.r.model: unknown model 'gpt'; available: {MODEL}"),
        ({"ranks": {"r": RANKS | {"dataset": "othr"}}}, "ranks.r.dataset: unknown dataset 'othr' (did you mean 'other'?)"),
        ({"ranks": {"r": RANKS | {"sample": "othr"}}}, "ranks.r.sample: unknown dataset 'othr' (did you mean 'other'?)"),
        ({"ranks": {"r": RANKS | {"buckets": [3, 3]}}}, "ranks.r.buckets: edges must ascend, each once, got [3, 3]"),
        ({"ranks": {"r": RANKS | {"buckets": [0]}}}, "ranks.r.buckets.0: should be greater than 0, got 0"),
        ({"ranks": {"r": RANKS | {"strong": {}}}}, "ranks.r.strong: give either fraction (of all ranked neurons) or neurons"),
        (
            {"ranks": {"r": RANKS | {"pairs": sides({"method": "neft"}, {"method": "neft"})}}},
            "ranks.r.pairs.0: a and b are the same method",
        ),
        (
            {"ranks": {"r": RANKS | {"pairs": sides({"method": "neft"}, {"method": "nefd"})}}},
            "ranks.r.pairs.0.b.method: unknown method 'nefd' (did you mean 'neft'?)",
        ),
        (
            {"ranks": {"r": RANKS | {"pairs": sides({"method": "lora"}, {"method": "lora", "dataset": "untrained"})}}},
            "datasets.untrained.splits.train: analyses.ranks.r.pairs.0.b.dataset needs at least 1 row, got 0",
        ),
        (
            {"utilization": {"rows": 9999}, "ranks": {"r": RANKS}},
            f"datasets.{DATASET}.splits.dev: analyses.ranks.r.dataset needs at least 9999 rows, got ",
        ),
        (
            {"overlaps": {"o": OVERLAP | {"pairs": sides({"mask": "random"}, LOW)}}},
            "datasets.untrained.splits.train: mask 'low-similarity' is found with it, so it needs at least 1 row, got 0",
        ),
        ({"utilization": {"against": "befor"}}, "utilization.against: should be 'before', 'same-layer' or 'all'"),
        ({"overlaps": {"o": OVERLAP | {"pairs": []}}}, "overlaps.o.pairs: "),
        (
            {"overlaps": {"o": OVERLAP | {"pairs": sides({"mask": "random"}, {"mask": "randm"})}}},
            "overlaps.o.pairs.0.b.mask: unknown mask 'randm' (did you mean 'random'?)",
        ),
        (
            {"overlaps": {"o": OVERLAP | {"pairs": sides({"mask": "random"}, {"mask": "random"})}}},
            "overlaps.o.pairs.0: a and b are the same mask",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(
    analyses: dict[str, Any], message: str
) -> None:
    with pytest.raises(NeftError) as caught:
        loader.load(values(analyses))
    prefix = "" if message.startswith("datasets.") else "analyses."
    assert f"config.yaml: {prefix}{message}" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_without_analyses_nothing_is_made() -> None:
    assert plan({}).products() == []


def test_a_pair_of_models_is_compared_for_each_seed_but_the_untuned_one_is_ranked_once() -> None:
    found = plan({"ranks": {"r": RANKS | {"sample": "other"}}}, seeds=[1, 2]).rank_pairs("r")
    assert [(pair.a, pair.b, pair.seed) for pair in found] == [
        ("base", "neft", 1),
        ("base", "neft", 2),
    ]
    stem = f"results/quickstart/rank/{MODEL}"
    assert {str(pair.first) for pair in found} == {f"{stem}/untuned/base/seed0/other.safetensors"}
    assert [str(pair.second) for pair in found] == [
        f"{stem}/{DATASET}/neft/seed{seed}/other.safetensors" for seed in (1, 2)
    ]


def test_masks_of_other_datasets_and_seeds_are_named_so() -> None:
    pairs = [
        {"a": {"mask": "random"}, "b": {"mask": "random", "dataset": "other"}},
        {"a": {"mask": "random", "seed": 1}, "b": {"mask": "random", "seed": 2}},
    ]
    found = plan({"overlaps": {"o": OVERLAP | {"pairs": pairs}}}, seeds=[1, 2])
    assert [(pair.a, pair.b) for pair in found.mask_pairs("o")] == [
        *[("random", "random (other)")] * 2,
        ("random (seed 1)", "random (seed 2)"),
    ]
    stem = f"results/quickstart/mask/{MODEL}"
    assert [str(pair.second) for pair in found.mask_pairs("o")] == [
        f"{stem}/{place}/random.safetensors"
        for place in ("other/seed1", "other/seed2", f"{DATASET}/seed2")
    ]
    assert len(found.masks()) == 4


def test_the_memory_and_the_split_are_no_part_of_what_decides_a_ranking() -> None:
    w = SimpleNamespace(model=MODEL, sample=DATASET)
    found = [
        plan({"utilization": {"memory": size}, "ranks": {"r": RANKS}}).rank_neurons(w)
        for size in (8, 9)
    ]
    assert found[0] == found[1]
    assert set(json.loads(found[0])) == {
        "trust_remote_code",
        "task",
        "rows",
        "max_length",
        "modules",
        "against",
        "pooling",
    }
