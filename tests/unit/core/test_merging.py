"""Merging a delta into a model directory: whole or not at all, and nothing of the base's weights
left beside it.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import neft
from neft.core import merging
from neft.core.delta import Delta, NeuronDelta, TensorDelta
from neft.core.mask import NeuronMask
from neft.errors import NeftError
from tiny import make_tiny_model

UP, DOWN = "model.layers.0.mlp.up_proj", "model.layers.1.mlp.down_proj"
TOKENS = torch.arange(20).view(2, 10)


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def trained(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[Any, Delta]:
    """A model whose attached neurons took two steps, and its delta."""
    model = load(folder, dtype)
    mask = NeuronMask.from_indices({UP: [0, 7], DOWN: [3, 4, 63], f"{DOWN}:row": [1]}, model)
    optimizer = torch.optim.AdamW(neft.attach(model, mask), lr=1e-2)
    for _ in range(2):
        model(input_ids=TOKENS, labels=TOKENS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, NeuronDelta.of(model, mask.base_hash)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model.eval()(TOKENS).logits
    return result


@pytest.fixture(scope="module")
def delta(tiny_model: Path) -> Delta:
    return trained(tiny_model)[1]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shard", ["20KB", "1GB"])
def test_the_merged_model_gives_the_logits_of_the_attached_one_bit_for_bit(
    tmp_path: Path, shard: str, tied: bool, dtype: str
) -> None:
    load(
        make_tiny_model(tmp_path / "whole", dtype, tied=tied), getattr(torch, dtype)
    ).save_pretrained(tmp_path / "base", max_shard_size=shard)
    base = tmp_path / "base"
    model, delta = trained(base, getattr(torch, dtype))
    neft.merge(base, delta, tmp_path / "out")
    merged, report = AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", dtype="auto", output_loading_info=True
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert merged.dtype == getattr(torch, dtype)
    assert torch.equal(logits(merged), logits(model))
    names = [
        {path.name for path in folder.glob("*.safetensors*")} for folder in (base, tmp_path / "out")
    ]
    assert names[0] == names[1] and (len(names[0]) > 3) == (shard == "20KB")
    if shard == "20KB":
        assert json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())[
            "weight_map"
        ]


def test_all_but_the_delta_is_the_base_to_the_bit(
    tiny_model: Path, tmp_path: Path, delta: Delta
) -> None:
    neft.merge(tiny_model, delta, tmp_path / "out")
    before, after = (
        load_file(folder / "model.safetensors") for folder in (tiny_model, tmp_path / "out")
    )
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        f"{UP}.weight",
        f"{DOWN}.weight",
    }
    moved = (before[f"{UP}.weight"] != after[f"{UP}.weight"]).any(1)
    assert moved.nonzero().flatten().tolist() == [0, 7]


def test_a_tied_weight_that_was_saved_twice_changes_in_both_places(tmp_path: Path) -> None:
    base = make_tiny_model(tmp_path / "base")
    tensors = load_file(base / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    embedding = {"model.embed_tokens.weight": torch.randn(tensors["lm_head.weight"].shape)}
    neft.merge(base, TensorDelta(embedding, {"base_hash": neft.base_hash(base)}), tmp_path / "out")
    after = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(after["lm_head.weight"], embedding["model.embed_tokens.weight"])
    assert torch.equal(after["model.embed_tokens.weight"], embedding["model.embed_tokens.weight"])


def test_what_belongs_to_the_model_comes_along_and_old_weights_stay_behind(
    tmp_path: Path, delta: Delta
) -> None:
    base = make_tiny_model(tmp_path / "base")
    belongs = [
        "LICENSE",
        "NOTICE.txt",
        "README.md",
        "merges.txt",
        "tokenizer.model",
        "additional_chat_templates/rag.jinja",
    ]
    stays = [
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "model.pt",
        "other.safetensors",
        "model.gguf",
        "adapter_config.json",
        "trainer_state.json",
        "model.safetensors.index.json",
        ".cache/huggingface/x.json",
        "onnx/model.onnx",
    ]
    for name in belongs + stays:
        (base / name).parent.mkdir(exist_ok=True, parents=True)
        (base / name).write_text("{}")
    neft.merge(base, delta, tmp_path / "out")
    found = {
        str(path.relative_to(tmp_path / "out"))
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert {
        *belongs,
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
    } <= found
    assert not found & set(stays)
    (base / "tokenizer.model").unlink(), (base / "merges.txt").unlink()
    for folder in (base, tmp_path / "out"):
        assert AutoTokenizer.from_pretrained(folder).chat_template
    with safe_open(str(tmp_path / "out" / "model.safetensors"), framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
    modes = {
        stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir() if path.is_file()
    }
    assert len(modes) == 1  # not readable by the owner alone, as safetensors writes


def test_a_merge_that_fails_leaves_nothing(tmp_path: Path) -> None:
    whole = make_tiny_model(tmp_path / "whole")
    load(whole).save_pretrained(tmp_path / "base", max_shard_size="20KB")
    delta = trained(tmp_path / "base")[1]
    tensors = delta.tensors | {
        f"{UP}.weight:0.values": torch.zeros(2, 32, device="meta")
    }  # no data: fails in the middle
    with pytest.raises((RuntimeError, NotImplementedError)):
        neft.merge(tmp_path / "base", NeuronDelta(tensors, delta.metadata), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "whole"]


def test_an_existing_directory_is_replaced_only_when_told_and_only_if_it_is_a_model(
    tiny_model: Path, tmp_path: Path, delta: Delta
) -> None:
    (tmp_path / "empty").mkdir()
    neft.merge(tiny_model, delta, tmp_path / "empty")
    with pytest.raises(NeftError, match="empty: exists and is not empty"):
        neft.merge(tiny_model, delta, tmp_path / "empty")
    (tmp_path / "empty" / "left over").touch()
    neft.merge(tiny_model, delta, tmp_path / "empty", replace=True)
    assert not (tmp_path / "empty" / "left over").exists()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").touch()
    with pytest.raises(NeftError, match=r"not replaced, because it has no config\.json"):
        neft.merge(tiny_model, delta, tmp_path / "precious", replace=True)
    assert (tmp_path / "precious" / "thesis.tex").exists()


def test_the_base_itself_is_never_overwritten(tmp_path: Path) -> None:
    base = make_tiny_model(tmp_path / "models" / "base")
    delta = trained(base)[1]
    for target in (base, tmp_path / "models", tmp_path / "models" / "x" / ".." / "base"):
        with pytest.raises(NeftError, match="is or contains the base model"):
            neft.merge(base, delta, target, replace=True)
    assert neft.base_hash(base) == delta.base_hash


def test_the_same_merge_gives_the_same_bytes(
    tiny_model: Path, tmp_path: Path, delta: Delta
) -> None:
    for name in "ab":
        neft.merge(tiny_model, delta, tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_models_of_other_shape_or_dtype_have_no_difference(
    tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(NeftError, match=r"float32 .* and torch.bfloat16 .* can't be compared"):
        neft.diff(tiny_model, make_tiny_model(tmp_path / "bf16", dtype="bfloat16"))
    with pytest.raises(NeftError, match="differ in parameters"):
        neft.diff(tiny_model, make_tiny_model(tmp_path / "deep", layers=3))


def test_the_measured_change_is_that_of_the_dense_weights(
    tiny_model: Path, tmp_path: Path, delta: Delta
) -> None:
    neft.merge(tiny_model, delta, tmp_path / "out")
    before, after = (
        load_file(folder / "model.safetensors") for folder in (tiny_model, tmp_path / "out")
    )
    measured = merging.measure(tiny_model, delta)
    assert measured.keys() == {f"{UP}.weight", f"{DOWN}.weight"}
    for name, change in measured.items():
        difference = after[name] - before[name]
        assert change.moved == difference.count_nonzero() > 0
        assert (
            change.norm == pytest.approx(difference.norm().item())
            and change.largest == difference.abs().max()
        )
        assert change.base_norm == pytest.approx(before[name].norm().item())
    with pytest.raises(NeftError, match="belongs to another base model"):
        merging.measure(make_tiny_model(tmp_path / "other", seed=9), delta)
