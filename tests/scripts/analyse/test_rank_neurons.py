"""UtilizationArrays from the command line's arguments."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import tuned
from neft.analysis.neuron_arrays import UtilizationArrays, load_utilization
from neft.core.delta import NeuronDelta
from neft.errors import NeftError
from neft.models.identity import base_hash
from scripts.analyse import rank_neurons

SPEC = {
    **{"task": tuned.TASK, "rows": 5, "max_length": 128},
    **{"modules": ["up_proj", "down_proj"], "against": "before", "pooling": "token"},
}
UP = "model.layers.1.mlp.up_proj"


@pytest.fixture(scope="module")
def delta(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Neurons 2 and 7 of a layer, replaced."""
    index = torch.tensor([2, 7], dtype=torch.int32)
    values = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    tensors = {f"{UP}.weight:0.index": index, f"{UP}.weight:0.values": values}
    path = tmp_path_factory.mktemp("delta") / "delta.safetensors"
    NeuronDelta(tensors, {"base_hash": base_hash(tiny_model)}).save(path)
    return path


def rank(model: Path, text: Path, out: Path, *more: str, **spec) -> UtilizationArrays:
    paths = ["--model", str(model), "--rows", str(text), "--ranking", str(out)]
    rank_neurons.main(["--spec", json.dumps(SPEC | spec), *paths, *more])
    return load_utilization(out)


def test_a_tuned_models_neurons_differ_where_it_was_trained(
    tiny_model, tiny_rows, delta, tmp_path
) -> None:
    base = rank(tiny_model, tiny_rows, tmp_path / "base.safetensors")
    tuned_one = rank(tiny_model, tiny_rows, tmp_path / "tuned.safetensors", "--delta", str(delta))
    assert not any(flags.any() for flags in base.trained.values())
    assert {
        key: list(flags.nonzero()[0]) for key, flags in tuned_one.trained.items() if flags.any()
    } == {UP: [2, 7]}
    # The layer's own neurons don't change what it and those before it read.
    for key, scores in base.scores.items():
        assert list((scores != tuned_one.scores[key]).nonzero()[0]) == ([2, 7] if key == UP else [])
    assert (base.model, base.text) == (tuned_one.model, tuned_one.text)
    assert base.text["rows"] == 5


def test_twice_gives_the_same_bytes_and_more_rows_never_a_lower_score(
    tiny_model, tiny_rows, tmp_path
) -> None:
    names = ["a", "b"]
    one, _ = (rank(tiny_model, tiny_rows, tmp_path / name) for name in names)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    more = rank(tiny_model, tiny_rows, tmp_path / "more", rows=None)
    assert more.text["rows"] == 60
    assert all((more.scores[key] >= scores - 1e-6).all() for key, scores in one.scores.items())
    assert any((more.scores[key] > scores + 1e-3).any() for key, scores in one.scores.items())


def test_pooling_and_modules_are_as_asked(tiny_model, tiny_rows, tmp_path) -> None:
    found = rank(
        tiny_model,
        tiny_rows,
        tmp_path / "m",
        pooling="mean",
        modules=["q_proj", "o_proj"],
        against="same-layer",
    )
    assert [key.rsplit(".", 1)[1] for key in found.scores] == ["q_proj", "o_proj"] * 2
    assert all(np.abs(scores).max() <= 1 for scores in found.scores.values())


def test_rows_that_are_all_too_long_are_an_error(tiny_model, tiny_rows, tmp_path) -> None:
    with pytest.raises(NeftError, match=r"none of 5 rows has at most 3 tokens; raise max_length"):
        rank(tiny_model, tiny_rows, tmp_path / "m", max_length=3)
