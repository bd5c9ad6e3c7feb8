"""Masks, distances and utilization as plain arrays: torch takes longer to start than a figure or
ranking takes to make.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from neft.errors import NeftError

Vectors = dict[str, np.ndarray]
"""A vector per key of `neft.core.neurons.find`, in the model's order."""


@dataclass(frozen=True)
class MaskArrays:
    """Chosen neurons (int32, ascending) and the number of neurons that there were to choose from,
    by key.
    """

    chosen: Vectors
    offered: dict[str, int]


@dataclass(frozen=True)
class UtilizationArrays:
    """Of every neuron of one model the highest correlation with its hidden states (float32), and
    whether it was trained (bool).

    `model` says which base model it is, `text` which text and settings: only what agrees in both
    can be compared.
    """

    scores: Vectors
    trained: Vectors
    model: str
    text: dict[str, Any]


@dataclass(frozen=True)
class Cut:
    """A distance that parts a mask's neurons from the others: chosen are those from it on, or those
    up to it.
    """

    at: float
    farthest: bool


def load_mask(path: str | Path) -> MaskArrays:
    """Read a mask that `neft.core.mask.NeuronMask` saved. Raises NeftError, naming the file, if it
    isn't one.
    """
    vectors, metadata = _load(path, "mask")
    offered = {key: site["count"] for key, site in metadata["sites"].items()}
    return MaskArrays({key: vectors[key] for key in offered}, offered)


def load_distances(path: str | Path) -> Vectors:
    """Read distances that `neft.selection.similarity` saved, float32 [neurons]. Raises NeftError if
    the file holds none.
    """
    vectors, metadata = _load(path, "scores")
    return {key: vectors[key] for key in metadata["order"]}


def load_utilization(path: str | Path) -> UtilizationArrays:
    """Read what `neft.analysis.utilization.save` wrote. Raises NeftError, naming the file, if it is
    something else.
    """
    vectors, metadata = _load(path, "utilization")
    scores, trained = (
        {key: vectors[f"{part}:{key}"] for key in metadata["order"]}
        for part in ("score", "trained")
    )
    return UtilizationArrays(scores, trained, metadata["base_hash"], metadata["text"])


def _load(path: str | Path, what: str) -> tuple[Vectors, dict[str, Any]]:
    try:
        with safe_open(str(path), framework="np") as file:
            vectors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no mapping
            metadata = json.loads((file.metadata() or {}).get("neft", "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise NeftError(f"{path}: not a readable {what} file: {error}") from error
    if metadata.get("format") != what:
        raise NeftError(
            f"{path}: expected a neft {what} file, found"
            f" {metadata.get('format', 'another safetensors file')!r}"
        )
    return vectors, metadata


def place(key: str) -> tuple[int, str]:
    """Layer and projection: "model.layers.7.mlp.up_proj" -> (7, "mlp.up_proj"). Raises NeftError if
    there is no layer.
    """
    match = re.search(r"\.(\d+)\.(.+)$", key)
    if match is None:
        raise NeftError(
            f"module {key!r}: expected the number of a layer in it, as in"
            " 'model.layers.7.mlp.up_proj'"
        )
    return int(match[1]), match[2]


def shares(mask: MaskArrays) -> tuple[list[str], np.ndarray]:
    """The chosen share of every projection in every layer.

    Returns the projections in the model's order and percentages [projections, layers], NaN where a
    layer lacks a projection.
    """
    places = {key: place(key) for key in mask.offered}
    projections = list(dict.fromkeys(projection for _, projection in places.values()))
    grid = np.full((len(projections), 1 + max(layer for layer, _ in places.values())), np.nan)
    for key, (layer, projection) in places.items():
        grid[projections.index(projection), layer] = 100 * len(mask.chosen[key]) / mask.offered[key]
    return projections, grid


def find_cut(distances: Vectors, mask: MaskArrays) -> Cut | None:
    """Where a mask cuts the distances, or None if no single value does (random neurons, or a budget
    per layer).
    """
    inside, outside = [], []
    for key, numbers in mask.chosen.items():
        if key not in distances or len(distances[key]) != mask.offered[key]:
            raise NeftError(
                f"{key}: the mask has {mask.offered[key]:,} neurons, for which there are no"
                " distances"
            )
        flags = np.zeros(mask.offered[key], bool)
        flags[numbers] = True
        inside.append(distances[key][flags])
        outside.append(distances[key][~flags])
    chosen, others = np.concatenate(inside), np.concatenate(outside)
    if not len(chosen) or not len(others):
        return None
    if chosen.min() >= others.max():
        return Cut(float(chosen.min()), farthest=True)
    return Cut(float(chosen.max()), farthest=False) if chosen.max() <= others.min() else None
