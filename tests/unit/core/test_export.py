"""Deltas as PEFT adapters: loaded by PEFT itself, they give the logits of the applied delta."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    Phi3Config,
    Phi3ForCausalLM,
)

import neft
from neft.core import export
from neft.core.delta import KINDS, Delta, LoraDelta, NeuronDelta
from neft.core.mask import NeuronMask
from neft.errors import NeftError
from tiny import make_tiny_model

TOKENS = torch.arange(20).view(2, 10)
LLAMA = {
    "model.layers.0.mlp.up_proj": [0, 7, 9],
    "model.layers.1.mlp.down_proj": [3, 4, 63, 11, 12],
    "model.layers.1.mlp.down_proj:row": [1, 30],
    "model.layers.1.self_attn.q_proj": [2],
    "model.layers.0.self_attn.o_proj": [2, 3],
}


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)


def trained(
    folder: Path, indices: dict[str, list[int]], dtype: torch.dtype = torch.float32
) -> Delta:
    model = load(folder, dtype)
    mask = NeuronMask.from_indices(indices, model)
    optimizer = torch.optim.AdamW(neft.attach(model, mask), lr=3e-2)
    for _ in range(3):
        model(input_ids=TOKENS, labels=TOKENS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return NeuronDelta.of(model, mask.base_hash)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model.eval()(TOKENS).logits
    return result


def compare(folder: Path, delta: Delta, out: Path, atol: float) -> Any:
    """Assert that PEFT's model has the logits of the applied delta; returns PEFT's model."""
    applied, plain = load(folder), logits(load(folder))
    neft.apply(applied, delta)
    adapted = PeftModel.from_pretrained(load(folder), out)
    torch.testing.assert_close(logits(adapted), logits(applied), rtol=0, atol=atol)
    assert (logits(applied) - plain).abs().max() > 1000 * atol  # the delta does something
    return adapted


def test_the_adapter_gives_the_logits_of_the_applied_delta(
    tiny_model: Path, tmp_path: Path
) -> None:
    delta = trained(tiny_model, LLAMA)
    ranks = export.to_lora(tiny_model, delta, tmp_path / "adapter")
    assert ranks == {
        "model.layers.0.mlp.up_proj": 3,
        "model.layers.0.self_attn.o_proj": 2,
        "model.layers.1.mlp.down_proj": 7,
        "model.layers.1.self_attn.q_proj": 1,
    }
    adapted = compare(tiny_model, delta, tmp_path / "adapter", atol=1e-6)
    merged, applied = adapted.merge_and_unload().state_dict(), load(tiny_model)
    neft.apply(applied, delta)
    for name, tensor in applied.state_dict().items():
        torch.testing.assert_close(merged[name], tensor, rtol=0, atol=1e-7)


def test_small_layers_stay_small(tiny_model: Path, tmp_path: Path) -> None:
    export.to_lora(tiny_model, trained(tiny_model, LLAMA), tmp_path / "adapter")
    shapes = {
        name: tuple(t.shape)
        for name, t in load_file(tmp_path / "adapter" / "adapter_model.safetensors").items()
    }
    assert shapes["base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"] == (1, 32)
    assert shapes["base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"] == (32, 7)


def gpt2(folder: Path) -> dict[str, list[int]]:
    GPT2LMHeadModel(
        GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=97, n_positions=64)
    ).save_pretrained(folder)
    return {
        "transformer.h.0.mlp.c_fc": [0, 100],
        "transformer.h.1.mlp.c_proj": [5, 6, 7],
        "transformer.h.0.attn.c_attn:k_proj": [1, 31],
        "transformer.h.1.attn.c_proj": [0],
    }


def phi3(folder: Path) -> dict[str, list[int]]:
    config = Phi3Config(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        vocab_size=97,
        pad_token_id=0,
    )
    Phi3ForCausalLM(config).save_pretrained(folder)
    return {
        "model.layers.0.mlp.gate_up_proj:gate_proj": [0, 3],
        "model.layers.0.mlp.gate_up_proj:up_proj": [3],
        "model.layers.1.self_attn.qkv_proj:v_proj": [4, 5],
    }


@pytest.mark.parametrize("make", [gpt2, phi3])
def test_transposed_and_fused_layers_are_exported_too(tmp_path: Path, make: Any) -> None:
    torch.manual_seed(0)
    delta = trained(tmp_path / "base", make(tmp_path / "base"))
    export.to_lora(tmp_path / "base", delta, tmp_path / "adapter")
    compare(tmp_path / "base", delta, tmp_path / "adapter", atol=1e-6)


def test_in_bfloat16_the_adapter_holds_the_exact_change_and_the_logits_differ_by_rounding(
    tmp_path: Path,
) -> None:
    base = make_tiny_model(tmp_path / "base", dtype="bfloat16")
    delta = trained(base, LLAMA, torch.bfloat16)
    export.to_lora(base, delta, tmp_path / "adapter")
    compare(base, delta, tmp_path / "adapter", atol=1e-6)  # the same weights, computed in float32
    applied, adapted = (
        load(base, torch.bfloat16),
        PeftModel.from_pretrained(load(base, torch.bfloat16), tmp_path / "adapter"),
    )
    neft.apply(applied, delta)
    scale = logits(applied).abs().max()
    assert (logits(adapted) - logits(applied)).abs().max() < 0.03 * scale


def test_a_rank_that_is_too_small_is_refused_with_the_one_needed(
    tiny_model: Path, tmp_path: Path
) -> None:
    delta = trained(tiny_model, LLAMA)
    with pytest.raises(
        NeftError, match=r"rank 6 is too small: model.layers.1.mlp.down_proj has 7 trained neurons"
    ):
        export.to_lora(tiny_model, delta, tmp_path / "adapter", rank=6)
    assert not (tmp_path / "adapter").exists()
    export.to_lora(tiny_model, delta, tmp_path / "adapter", rank=7)
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["r"] == 7


def test_a_lora_delta_is_the_adapter_that_was_trained(tiny_model: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        init_lora_weights=False,
    )
    model = get_peft_model(load(tiny_model), config)
    delta = LoraDelta.of(model, neft.base_hash(tiny_model))
    export.to_lora(tiny_model, delta, tmp_path / "adapter")
    adapted = PeftModel.from_pretrained(load(tiny_model), tmp_path / "adapter")
    assert torch.equal(logits(adapted), logits(model))
    with pytest.raises(NeftError, match="rank 3 is too small"):
        export.to_lora(tiny_model, delta, tmp_path / "small", rank=3)


@pytest.mark.parametrize("kind", ["tensors", "neurons"])
def test_what_is_no_linear_layer_is_refused(tiny_model: Path, tmp_path: Path, kind: Any) -> None:
    metadata = {"base_hash": neft.base_hash(tiny_model)}
    name = "model.embed_tokens.weight"
    vectors = {
        f"{name}:0.index": torch.tensor([3], dtype=torch.int32),
        f"{name}:0.values": torch.zeros(1, 32),
    }
    delta = KINDS[kind]({name: torch.zeros(384, 32)} if kind == "tensors" else vectors, metadata)
    with pytest.raises(NeftError, match=r"export: .*merge"):
        export.to_lora(tiny_model, delta, tmp_path / "adapter")


def test_another_base_and_an_existing_folder_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    delta = trained(tiny_model, LLAMA)
    with pytest.raises(NeftError, match="belongs to another base model"):
        export.to_lora(make_tiny_model(tmp_path / "other", seed=3), delta, tmp_path / "adapter")
    export.to_lora(tiny_model, delta, tmp_path / "adapter")
    with pytest.raises(NeftError, match="exists and is not empty"):
        export.to_lora(tiny_model, delta, tmp_path / "adapter")
    export.to_lora(tiny_model, delta, tmp_path / "adapter", replace=True)


def test_the_same_delta_gives_the_same_bytes(tiny_model: Path, tmp_path: Path) -> None:
    delta = trained(tiny_model, LLAMA)
    for name in "ab":
        export.to_lora(tiny_model, delta, tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


@settings(deadline=None, max_examples=50)
@given(data=st.data(), transposed=st.booleans(), seed=st.integers(0, 99))
def test_the_product_is_the_change_for_any_rows_and_columns(
    data: st.DataObject, transposed: bool, seed: int
) -> None:
    out, width = 6, 9
    rows = data.draw(st.sets(st.integers(0, out - 1)).map(sorted))
    columns = data.draw(st.sets(st.integers(0, width - 1)).map(sorted))
    change = torch.randn(out, width, generator=torch.Generator().manual_seed(seed))
    untouched = torch.ones(out, width, dtype=torch.bool).index_fill(
        0, torch.tensor(rows, dtype=torch.int64), False
    )
    untouched = untouched.index_fill(1, torch.tensor(columns, dtype=torch.int64), False)
    change = change.masked_fill(untouched, 0)
    a, b = export._factors(
        change, *(torch.tensor(index, dtype=torch.int64) for index in (rows, columns))
    )
    assert a.shape == (len(rows) + len(columns), width) and b.shape == (
        out,
        len(rows) + len(columns),
    )
    assert torch.equal(b @ a, change)  # sums of one number and zeros: exact
