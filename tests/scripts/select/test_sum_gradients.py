"""Sums of gradients from the command line's arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tuned
from neft.errors import NeftError
from neft.selection.similarity import load_scores
from scripts.select import sum_gradients


def sums(inputs: tuned.Inputs, out: Path, **changes: object) -> Path:
    spec = {
        "task": tuned.TASK,
        "modules": ["up_proj", "o_proj"],
        "axis": "natural",
    }
    spec |= {"batches": 2, "batch_size": 8, "max_length": 512, "precision": "float32", "seed": 1}
    files = [
        "--model",
        str(inputs.model),
        "--model-record",
        str(inputs.record),
        "--train",
        str(inputs.train),
    ]
    sum_gradients.main(["--spec", json.dumps(spec | changes), *files, "--gradients", str(out)])
    return out


def test_writes_a_positive_sum_for_every_neuron_of_the_modules(
    tiny_model: Path, tiny_rows: Path, tmp_path: Path
):
    inputs = tuned.make_inputs(tmp_path, tiny_model, tiny_rows)
    first, again, more = (
        sums(inputs, tmp_path / name, batches=n) for name, n in (("a", 2), ("b", 2), ("c", 3))
    )
    assert first.read_bytes() == again.read_bytes()
    scores, larger = load_scores(first), load_scores(more)
    assert {key.rpartition(".")[2] for key in scores} == {"up_proj", "o_proj"}
    assert all((larger[key] > vector).all() and vector.min() > 0 for key, vector in scores.items())


def test_rows_that_are_all_too_long_are_an_error(tiny_model: Path, tiny_rows: Path, tmp_path: Path):
    inputs = tuned.make_inputs(tmp_path, tiny_model, tiny_rows)
    with pytest.raises(NeftError, match=r"train.jsonl: no row of at most 5 tokens"):
        sums(inputs, tmp_path / "a", max_length=5)
