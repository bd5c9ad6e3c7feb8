"""One base model, one hash; another model, another hash."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from neft.errors import NeftError
from neft.models.identity import base_hash
from tiny import make_tiny_model


@pytest.mark.parametrize("tied", [True, False])
def test_dtype_sharding_and_loading_change_nothing(tmp_path: Path, tied: bool) -> None:
    folder = make_tiny_model(tmp_path / "m", dtype="bfloat16", tied=tied)
    expected = base_hash(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert base_hash(model) == expected
    model.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    assert base_hash(tmp_path / "sharded") == expected


def test_a_tied_weight_that_was_saved_twice_and_a_buffer_count_for_nothing(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m")
    expected = base_hash(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    tensors["model.rotary.inv_freq"] = torch.ones(4)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert base_hash(folder) == expected


def test_a_file_without_the_models_prefix_is_the_same_model(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m")
    expected = base_hash(folder)
    tensors = load_file(folder / "model.safetensors")
    bare = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})
    assert base_hash(folder) == expected


def test_any_fine_tuned_version_is_another_model(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m")
    model = AutoModelForCausalLM.from_pretrained(folder)
    seen = {base_hash(model)}
    for parameter in model.parameters():
        with torch.no_grad():
            parameter.mul_(1 + 1e-6)
        seen.add(base_hash(model))
    assert len(seen) == 1 + len(list(model.parameters()))


def test_only_a_small_part_of_the_files_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neft.models.checkpoint import Stored

    folder = make_tiny_model(tmp_path / "m")
    sizes: list[int] = []
    read = Stored.read
    monkeypatch.setattr(
        Stored,
        "read",
        lambda self, first=0, count=None: sizes.append(count) or read(self, first, count),
    )
    base_hash(folder)
    assert all(count <= 1024 for count in sizes)


def test_a_folder_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NeftError, match=r"model.safetensors: No such file"):
        base_hash(tmp_path)
    folder = make_tiny_model(tmp_path / "m")
    shutil.copy(folder / "config.json", tmp_path / "config.json")
    save_file({"a": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(NeftError, match=r"no tensor for the model's parameter .* missing"):
        base_hash(tmp_path)
