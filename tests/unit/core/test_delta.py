"""Deltas: saved small, applied to the right model only, undone to the bit."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

import neft
from neft.core.delta import KINDS, Delta, LoraDelta, NeuronDelta, TensorDelta
from neft.core.mask import NeuronMask
from neft.errors import NeftError
from neft.storage import sealed
from tiny import make_tiny_model

UP, DOWN = "model.layers.0.mlp.up_proj", "model.layers.1.mlp.down_proj"
TOKENS = torch.arange(20).view(2, 10)
CASES = ["neurons", "rows and columns", "tensors", "embedding", "lora"]


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        result: Tensor = model.eval()(TOKENS).logits
    return result


def tuned(folder: Path, kind: str) -> tuple[Any, Delta]:
    """A model trained for two steps in one of the ways, and its delta."""
    model = load(folder)
    base_hash = neft.base_hash(folder)
    if kind in ("neurons", "rows and columns"):
        indices = {UP: [0, 7], DOWN: [3, 4, 63]} | (
            {f"{DOWN}:row": [1]} if kind == "rows and columns" else {}
        )
        neft.attach(model, NeuronMask.from_indices(indices, model))
    elif kind == "lora":
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(0)
        model = get_peft_model(
            model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
        )
    else:
        model.requires_grad_(kind == "tensors")
        model.get_input_embeddings().requires_grad_(True)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(2):
        model(input_ids=TOKENS, labels=TOKENS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    of_kind = {"lora": LoraDelta, "tensors": TensorDelta, "embedding": TensorDelta}
    return model, of_kind.get(kind, NeuronDelta).of(model, base_hash)


def merged_by_its_library(model: Any) -> Any:
    """PEFT's own merge; for the other ways the trained model as it is."""
    return copy.deepcopy(model).merge_and_unload() if hasattr(model, "merge_and_unload") else model


@pytest.mark.parametrize("kind", CASES)
def test_applied_to_the_base_a_delta_gives_the_tuned_model_and_reverted_the_base(
    tiny_model: Path, tmp_path: Path, kind: str
) -> None:
    model, delta = tuned(tiny_model, kind)
    delta.save(tmp_path / "delta.safetensors")
    plain = load(tiny_model)
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    undo = neft.apply(plain, Delta.load(tmp_path / "delta.safetensors"))
    assert torch.equal(logits(plain), logits(merged_by_its_library(model)))
    assert not torch.equal(logits(plain), logits(load(tiny_model)))
    neft.revert(plain, undo)
    assert all(torch.equal(tensor, before[name]) for name, tensor in plain.state_dict().items())


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("tied", [True, False])
def test_merged_into_a_sharded_directory_it_gives_the_same_logits(
    tmp_path: Path, kind: str, tied: bool
) -> None:
    load(make_tiny_model(tmp_path / "one", tied=tied)).save_pretrained(
        tmp_path / "base", max_shard_size="20KB"
    )
    model, delta = tuned(tmp_path / "base", kind)
    neft.merge(tmp_path / "base", delta, tmp_path / "out")
    assert torch.equal(logits(load(tmp_path / "out")), logits(merged_by_its_library(model)))
    assert {f.name for f in (tmp_path / "out").iterdir()} == {
        f.name for f in (tmp_path / "base").iterdir()
    }


def test_a_lora_delta_merges_in_bfloat16_as_peft_does(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "base", dtype="bfloat16")
    _, delta = tuned(folder, "lora")
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    theirs = get_peft_model(load(folder, torch.bfloat16), LoraConfig(**_options(delta)))
    set_peft_model_state_dict(theirs, delta.tensors)
    ours = load(folder, torch.bfloat16)
    neft.apply(ours, delta)
    expected = theirs.merge_and_unload().state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.state_dict().items())


def test_a_lora_delta_in_float32_is_the_model_that_is_exported(tmp_path: Path) -> None:
    """Outputs are generated in float32: by the weights in the base's format, as of other methods."""
    folder = make_tiny_model(tmp_path / "base", dtype="bfloat16")
    _, trained = tuned(folder, "lora")
    trained.save(tmp_path / "delta.safetensors", torch.bfloat16)
    delta = Delta.load(tmp_path / "delta.safetensors")
    used = load(folder, torch.float32)
    neft.apply(used, delta)
    neft.merge(folder, delta, tmp_path / "out")
    exported = load(tmp_path / "out", torch.float32).state_dict()
    assert all(torch.equal(tensor, exported[name]) for name, tensor in used.state_dict().items())


def _options(delta: Delta) -> dict[str, Any]:
    config = delta.metadata["adapter_config"]
    return {key: config[key] for key in ("r", "lora_alpha", "target_modules", "use_rslora")}


def test_unselected_weights_are_the_bases_bits_after_a_merge(
    tiny_model: Path, tmp_path: Path
) -> None:
    _, delta = tuned(tiny_model, "neurons")
    neft.merge(tiny_model, delta, tmp_path / "out")
    before, after = (
        load_file(folder / "model.safetensors") for folder in (tiny_model, tmp_path / "out")
    )
    moved = {name: (after[name] != before[name]).sum().item() for name in before}
    assert {name: count for name, count in moved.items() if count} == {
        f"{UP}.weight": 2 * 32,
        f"{DOWN}.weight": 3 * 32,
    }


def test_a_tied_weight_that_the_base_saved_twice_is_changed_twice(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "base")
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    model, delta = tuned(folder, "embedding")
    assert list(delta.tensors) == ["model.embed_tokens.weight"]
    neft.merge(folder, delta, tmp_path / "out")
    merged = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(merged["lm_head.weight"], model.get_input_embeddings().weight)
    assert torch.equal(merged["lm_head.weight"], merged["model.embed_tokens.weight"])


def test_a_delta_in_bfloat16_has_two_bytes_a_parameter_and_four_a_neuron(tmp_path: Path) -> None:
    tensors = {
        "w:0.index": torch.arange(1000, dtype=torch.int32),
        "w:0.values": torch.randn(1000, 576),
    }
    delta = NeuronDelta(tensors, {"base_hash": "b"})
    delta.save(tmp_path / "delta", torch.bfloat16)
    size = (tmp_path / "delta").stat().st_size
    assert delta.parameters == 576_000
    assert 2 * 576_000 + 4 * 1000 < size < 2.05 * 576_000
    assert torch.equal(
        Delta.load(tmp_path / "delta").tensors["w:0.values"], tensors["w:0.values"].bfloat16()
    )


def test_a_delta_of_another_base_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    _, delta = tuned(tiny_model, "neurons")
    other = make_tiny_model(tmp_path / "other", seed=3)
    with pytest.raises(NeftError, match="belongs to another base model"):
        neft.apply(load(other), delta)
    with pytest.raises(NeftError, match="belongs to another base model"):
        neft.merge(other, delta, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damage_is_noticed(tiny_model: Path, tmp_path: Path) -> None:
    tuned(tiny_model, "neurons")[1].save(tmp_path / "delta")
    content = (tmp_path / "delta").read_bytes()
    for position in (9, len(content) // 2, len(content) - 1):
        (tmp_path / "bad").write_bytes(
            content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :]
        )
        with pytest.raises(NeftError, match="bad"):
            Delta.load(tmp_path / "bad")
    (tmp_path / "bad").write_bytes(content[:-1])
    with pytest.raises(NeftError, match="bad: not a readable delta file"):
        Delta.load(tmp_path / "bad")


def test_the_same_delta_gives_the_same_bytes(tiny_model: Path, tmp_path: Path) -> None:
    for kind in CASES:
        for name in "ab":
            tuned(tiny_model, kind)[1].save(tmp_path / name)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes(), kind


@pytest.mark.parametrize("kind", CASES)
def test_the_difference_of_two_directories_leads_from_one_to_the_other(
    tiny_model: Path, tmp_path: Path, kind: str
) -> None:
    neft.merge(tiny_model, tuned(tiny_model, kind)[1], tmp_path / "tuned")
    found = neft.diff(tiny_model, tmp_path / "tuned")
    neft.merge(tiny_model, found, tmp_path / "again")
    first, second = (
        load_file(tmp_path / name / "model.safetensors") for name in ("tuned", "again")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    if kind == "neurons":
        assert found.parameters == 5 * 32


def test_an_extraction_without_an_attached_mask_is_an_error(tiny_model: Path) -> None:
    with pytest.raises(NeftError, match="no mask attached"):
        NeuronDelta.of(load(tiny_model), "b")


def test_a_delta_for_a_parameter_that_is_not_there_is_an_error(
    tiny_model: Path, tmp_path: Path
) -> None:
    delta = TensorDelta(
        {"model.embed_token.weight": torch.zeros(2)},
        {"base_hash": neft.base_hash(tiny_model)},
    )
    with pytest.raises(NeftError, match=r"did you mean 'model.embed_tokens.weight'"):
        neft.apply(load(tiny_model), delta)
    with pytest.raises(NeftError, match=r"no parameter model.embed_token.weight"):
        neft.merge(tiny_model, delta, tmp_path / "out")


def neuron_delta(
    index: Any, values: tuple[int, ...], name: str = f"{UP}.weight:0"
) -> dict[str, Tensor]:
    return {
        f"{name}.index": torch.tensor(index, dtype=torch.int32),
        f"{name}.values": torch.ones(values),
    }


@pytest.mark.parametrize(
    ("kind", "tensors", "metadata", "message"),
    [
        ("neuron", {}, {}, "its kind is 'neuron'"),
        (
            "neurons",
            neuron_delta([2, 1], (2, 32)),
            {},
            "must be one vector of ascending int32 numbers",
        ),
        (
            "neurons",
            neuron_delta([-1, 1], (2, 32)),
            {},
            "must be one vector of ascending int32 numbers",
        ),
        (
            "neurons",
            neuron_delta([[1]], (1, 32)),
            {},
            "must be one vector of ascending int32 numbers",
        ),
        (
            "neurons",
            neuron_delta([1], (2, 32)),
            {},
            r"values is \[2, 32\], but must be a matrix with a row for each of 1 numbers",
        ),
        (
            "neurons",
            neuron_delta([1], (1, 32), "w:2"),
            {},
            "is no index or values of a weight's dimension 0 or 1",
        ),
        (
            "neurons",
            {"w:0.index": torch.ones(1, dtype=torch.int32)},
            {},
            "lacks the other of the two",
        ),
        ("lora", {}, {}, "must have r and lora_alpha"),
        (
            "lora",
            {"a.lora_A.weight": torch.ones(2, 3)},
            {"adapter_config": {"r": 2, "lora_alpha": 4}},
            "must be one of a pair",
        ),
    ],
)
def test_a_whole_file_that_holds_no_possible_delta_is_refused(
    tmp_path: Path, kind: Any, tensors: dict[str, Tensor], metadata: dict[str, Any], message: str
) -> None:
    whole = {"kind": kind, "base_hash": "b", **metadata}
    sealed.save(tmp_path / "delta", "delta", tensors, whole)
    with pytest.raises(NeftError, match=f"delta: not a usable delta: .*{message}"):
        Delta.load(tmp_path / "delta")


A, B = (f"base_model.model.{UP}.lora_{part}.weight" for part in "AB")


@pytest.mark.parametrize(
    ("kind", "tensors", "message"),
    [
        (
            "neurons",
            neuron_delta([1, 64], (2, 32)),
            r"index ends with 64, but .* has \[64, 32\] there",
        ),
        (
            "neurons",
            neuron_delta([1, 2], (2, 31)),
            r"values is \[2, 31\], but .*\[64, 32\].* needs \[2, 32\]",
        ),
        ("tensors", {f"{UP}.weight": torch.ones(1, 32)}, r"is \[1, 32\], but .* needs \[64, 32\]"),
        (
            "lora",
            {A: torch.ones(2, 31), B: torch.ones(64, 2)},
            r"product of .* is \[64, 31\], but .* needs \[64, 32\]",
        ),
    ],
)
def test_a_delta_of_other_shapes_changes_nothing_and_says_which(
    tiny_model: Path, tmp_path: Path, kind: Any, tensors: dict[str, Tensor], message: str
) -> None:
    first = {"model.norm.weight": torch.zeros(32)} if kind == "tensors" else {}
    config = {"adapter_config": {"r": 2, "lora_alpha": 4}}
    delta = KINDS[kind](first | tensors, {"base_hash": neft.base_hash(tiny_model), **config})
    model = load(tiny_model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(NeftError, match=message):
        neft.apply(model, delta)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(NeftError, match=message):
        neft.merge(tiny_model, delta, tmp_path / "out")
    assert not (tmp_path / "out").exists()
