"""A base model and a delta, read from disk together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from neft.core import tuned
from neft.core.delta import TensorDelta
from neft.errors import NeftError
from neft.models import identity

NAME = "model.layers.0.mlp.up_proj.weight"


def saved(folder: Path, base_hash: str) -> Path:
    path = folder / "delta.safetensors"
    TensorDelta({NAME: torch.ones(64, 32)}, {"base_hash": base_hash}).save(path)
    return path


def test_the_model_is_the_base_with_the_delta_ready_to_answer(
    tiny_model: Path, tmp_path: Path
) -> None:
    base_hash = identity.base_hash(tiny_model)
    cpu = torch.device("cpu")
    plain = tuned.load(tiny_model, None, "bfloat16", cpu)
    other = tuned.load(tiny_model, saved(tmp_path, base_hash), "bfloat16", cpu)
    assert plain.base_hash == other.base_hash == base_hash
    assert not other.model.training
    assert {parameter.dtype for parameter in other.model.parameters()} == {torch.bfloat16}
    assert torch.equal(other.model.get_parameter(NAME), torch.ones(64, 32, dtype=torch.bfloat16))
    different = [
        name
        for name, tensor in plain.model.named_parameters()
        if not torch.equal(tensor, other.model.get_parameter(name))
    ]
    assert different == [NAME]
    assert other.tokenizer.chat_template


def test_a_delta_of_another_base_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(NeftError, match="another base"):
        tuned.load(tiny_model, saved(tmp_path, "f" * 64), "float32", torch.device("cpu"))
