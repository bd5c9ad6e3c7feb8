"""Selectors that have seen no data: by norm, and at random with another mask's counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from neft import plugins
from neft.core import neurons
from neft.core.mask import NeuronMask
from neft.models.checkpoint import Checkpoint
from neft.selection import base_vectors, budgets

MODULES = ["up_proj", "down_proj"]


def norms_by_numpy(folder: Path) -> dict[str, np.ndarray]:
    """The norm of every neuron of the tiny model: rows of up_proj, columns of down_proj."""
    weights = load_file(folder / "model.safetensors")
    return {
        name.removesuffix(".weight"): np.linalg.norm(weight, axis=int("up_proj" in name))
        for name, weight in weights.items()
        if "up_proj" in name or "down_proj" in name
    }


@pytest.mark.parametrize("which", ["smallest", "largest"])
def test_norm_takes_the_shortest_or_longest_vectors(tiny_model: Path, which: str) -> None:
    sites = neurons.choose(
        neurons.sites_of(neurons.describe(tiny_model)), MODULES, "natural", "tiny"
    )
    spec = plugins.settings("selectors", {"kind": "norm", "neurons": 30, "which": which})
    ranking = plugins.load("selectors", "norm").rank(
        {"weights": Checkpoint(tiny_model)}, sites, spec, 0
    )
    chosen = budgets.take(ranking.scores, 30)
    expected = norms_by_numpy(tiny_model)
    order = np.argsort(np.concatenate([expected[key] for key in sites]))
    want = set((order[:30] if which == "smallest" else order[-30:]).tolist())
    found, start = set(), 0
    for key, site in sites.items():
        found |= {start + place for place in chosen[key].tolist()}
        start += site.count
    assert found == want


@pytest.fixture
def mask(tiny_model: Path) -> NeuronMask:
    """All of the shortest up neurons and some others, unevenly."""
    sites = neurons.choose(
        neurons.sites_of(neurons.describe(tiny_model)), MODULES, "natural", "tiny"
    )
    norms = norms_by_numpy(tiny_model)
    indices = {}
    for number, key in enumerate(sites):
        shortest = np.argsort(norms[key])[: 4 + 7 * number]
        indices[key] = torch.tensor(np.sort(shortest), dtype=torch.int32)
    return NeuronMask(indices, sites, "base", 32, {"kind": "indices"}, 10)


def matched(mask: NeuronMask, folder: Path, run: int = 0, **spec: int) -> NeuronMask:
    typed = plugins.settings("selectors", {"kind": "matched", "of": "low", **spec})
    inputs = {"masks": [mask], "weights": Checkpoint(folder)}
    found: NeuronMask = plugins.load("selectors", "matched").combine(inputs, typed, run)
    return found


def test_matched_has_the_other_masks_counts_by_module_and_tenth_of_the_norms(
    tiny_model: Path, mask: NeuronMask
) -> None:
    found = matched(mask, tiny_model)
    assert (found.count, found.sites, found.base_hash) == (mask.count, mask.sites, "base")
    for key, lengths in norms_by_numpy(tiny_model).items():
        edges = np.array_split(np.argsort(lengths), 10)  # sizes differ by one: tenths of 64
        tenth = np.empty(len(lengths), int)
        for number, members in enumerate(edges):
            tenth[members] = number
        ours = base_vectors.deciles({key: torch.tensor(lengths)})[key].numpy()
        assert (np.abs(ours - tenth) <= 1).all() and (np.bincount(ours) >= 6).all()
        before, after = (np.bincount(ours[one.indices[key]], minlength=10) for one in (mask, found))
        assert (before == after).all()
    assert any(not torch.equal(found.indices[key], mask.indices[key]) for key in mask.indices)
    assert found.selector["of"] == mask.selector and found.selector["kind"] == "matched"


def test_a_matched_mask_follows_the_seed(tiny_model: Path, mask: NeuronMask) -> None:
    def drawn(run: int) -> list[list[int]]:
        return [index.tolist() for index in matched(mask, tiny_model, run).indices.values()]

    assert drawn(1) == drawn(1) != drawn(2)


def test_equal_norms_are_split_into_tenths_all_the_same() -> None:
    tenth = base_vectors.deciles({"a": torch.ones(20)})["a"]
    assert tenth.tolist() == [n // 2 for n in range(20)]
