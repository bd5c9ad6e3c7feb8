from __future__ import annotations

import json

import pytest
import torch

from neft.core.mask import NeuronMask
from neft.core.neurons import Site
from scripts.neuron_figures import plot_neurons

KEYS = [
    f"model.layers.{layer}.mlp.{kind}" for layer in range(4) for kind in ("up_proj", "down_proj")
]


@pytest.fixture
def masks(tmp_path):
    sites = {key: Site(key, key.rsplit(".", 1)[1], "row", 0, 8, 4, 0) for key in KEYS}
    for name, step in (("few", 4), ("many", 2)):
        indices = {key: torch.arange(0, 8, step, dtype=torch.int32) for key in KEYS}
        NeuronMask(indices, sites, "hash", 4).save(tmp_path / f"{name}.safetensors")
    return [str(tmp_path / f"{name}.safetensors") for name in ("few", "many")]


def plot(masks, folder, names=("few", "many")):
    paths = ["--png", str(folder / "neurons.png"), "--pdf", str(folder / "neurons.pdf")]
    plot_neurons.main(["--spec", json.dumps({"masks": list(names)}), "--masks", *masks, *paths])
    return [(folder / f"neurons.{kind}").read_bytes() for kind in ("png", "pdf")]


def test_drawn_twice_the_figure_is_the_same_bytes(masks, tmp_path):
    assert plot(masks, tmp_path / "a") == plot(masks, tmp_path / "b")


def test_another_mask_gives_another_figure(masks, tmp_path):
    assert plot(masks[:1], tmp_path / "a", ["m"]) != plot(masks[1:], tmp_path / "b", ["m"])
