"""Distances of two model directories, from the command line's arguments."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from neft.selection.similarity import load_scores
from scripts.select import compare_neurons
from tiny import make_tiny_model


def test_writes_a_distance_for_every_neuron_of_the_modules(
    tiny_model: Path, tmp_path: Path
) -> None:
    tuned = make_tiny_model(tmp_path / "tuned", seed=1)
    arguments = ["--spec", json.dumps({"modules": ["up_proj", "down_proj"], "axis": "natural"})]
    arguments += ["--base", str(tiny_model), "--tuned", str(tuned)]
    for name in "ab":
        compare_neurons.main(
            [
                *arguments,
                "--distances",
                str(tmp_path / name),
                "--norms",
                str(tmp_path / f"norms-{name}"),
            ]
        )
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "norms-a").read_bytes() == (tmp_path / "norms-b").read_bytes()
    scores, norms = load_scores(tmp_path / "a"), load_scores(tmp_path / "norms-a")
    assert [len(vector) for vector in scores.values()] == [64] * 4
    assert list(norms) == list(scores) and all(
        (norms[key] > scores[key] / 100).all() for key in scores
    )
    assert all(vector.dtype == torch.float32 and vector.min() > 0.1 for vector in scores.values())
