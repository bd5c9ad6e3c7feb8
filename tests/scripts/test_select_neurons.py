"""Masks from the command line's arguments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import select_neurons
from neft import neurons
from neft.errors import NeftError
from neft.files import write_json
from neft.identity import base_hash
from neft.mask import NeuronMask
from neft.similarity import save_scores


@pytest.fixture(scope="module")
def record(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("record") / "model.json"
    write_json(path, neurons.describe(tiny_model) | {"base_hash": base_hash(tiny_model)})
    return path


@pytest.fixture(scope="module")
def distances(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("distances") / "distances.safetensors"
    sites = neurons.sites_of(neurons.describe(tiny_model))
    save_scores(path, {key: torch.arange(s.count) / 100 for key, s in sites.items() if s.kind in ("up_proj", "down_proj")}, {})
    return path


def select(tmp_path: Path, record: Path, spec: dict[str, Any], *more: str, name: str = "mask") -> NeuronMask:
    path = tmp_path / f"{name}.safetensors"
    select_neurons.main(["--spec", json.dumps(spec), "--model-record", str(record), "--mask", str(path), *more])
    return NeuronMask.load(path)


def test_a_mask_has_the_share_of_the_models_parameters_that_was_asked_for(
    tmp_path: Path, record: Path, distances: Path
) -> None:
    mask = select(tmp_path, record, {"kind": "similarity", "fraction": 0.09}, "--distances", str(distances))
    parameters = json.loads(record.read_text())["parameters"]
    assert abs(mask.parameters - 0.09 * parameters) <= mask.hidden_size / 2
    assert mask.count == mask.budget == round(0.09 * parameters / 32)
    assert all(index.tolist() == list(range(64 - len(index), 64)) for index in mask.indices.values())  # the largest distances
    assert mask.selector["kind"] == "similarity" and mask.base_hash == json.loads(record.read_text())["base_hash"]


def test_random_masks_need_no_distances_and_follow_the_seed(tmp_path: Path, record: Path) -> None:
    spec = {"kind": "random", "neurons": 20, "modules": ["q_proj", "o_proj"]}
    masks = [select(tmp_path, record, spec, "--seed", seed) for seed in ("1", "1", "2")]
    assert masks[0].sha256 == masks[1].sha256 != masks[2].sha256
    assert masks[0].count == 20 and set(masks[0].axes.values()) == {"row", "column"}


def test_rows_of_down_proj_can_be_chosen(tmp_path: Path, record: Path) -> None:
    mask = select(tmp_path, record, {"kind": "random", "neurons": 8, "modules": ["down_proj"], "axis": "row"})
    assert set(mask.indices) == {f"model.layers.{i}.mlp.down_proj:row" for i in range(2)}
    assert mask.parameters == 8 * 64


def test_a_union_holds_the_neurons_of_its_masks(tmp_path: Path, record: Path) -> None:
    parts = [select(tmp_path, record, {"kind": "random", "neurons": 30}, "--seed", seed, name=seed) for seed in "12"]
    files = [str(tmp_path / f"{seed}.safetensors") for seed in "12"]
    union = select(tmp_path, record, {"kind": "union", "of": ["a", "b"]}, "--masks", *files)
    for key, index in union.indices.items():
        assert set(index.tolist()) == set(parts[0].indices[key].tolist()) | set(parts[1].indices[key].tolist())
    assert 30 < union.count <= 60


def test_too_large_a_budget_and_missing_distances_are_errors(tmp_path: Path, record: Path, distances: Path) -> None:
    with pytest.raises(NeftError, match=r"fraction: 0.9 asks for .* but up_proj and down_proj of LlamaForCausalLM have 256"):
        select(tmp_path, record, {"kind": "random", "fraction": 0.9})
    with pytest.raises(NeftError, match="needs --distances"):
        select(tmp_path, record, {"kind": "similarity", "neurons": 3})
    with pytest.raises(NeftError, match=r"no 32 distances for model.layers.0.self_attn.q_proj"):
        select(tmp_path, record, {"kind": "similarity", "neurons": 3, "modules": ["q_proj"]}, "--distances", str(distances))
