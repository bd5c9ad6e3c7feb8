"""Rankings of a model's neurons by utilization, compared between two models (Xu et al., COLING
2025, section 6).

*Rank* (6.1): the place of a neuron when all stand in descending order of their highest Pearson
correlation; 1 is the most used. *Rank difference* (6.1): the place in the second model less that in
the first; positive is a fall, negative a rise. The mean absolute value over neurons is Avg(ΔRank).
*Buckets* (6.1, Fig. 2): "the top percentiles of the overall Pearson scores", here of the first
model's. *Strongly affected* (6.2): the absolute difference exceeds a threshold, 100,000 of
Llama-2-7B's 704,512 places. *Suppressed* (6.2): strongly affected, and fell. *Indirectly affected*
(6.2): strongly affected, and "not directly engaged in NeFT training": trained in neither model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neft.analysis.neuron_arrays import UtilizationArrays, Vectors, load_utilization
from neft.errors import NeftError


class Bucket(NamedTuple):
    """Neurons between two top percentiles of the first model's scores, and the mean of their
    absolute rank differences.

    `unrelated` is the mean to be expected of a second ranking that knows nothing of the first. None
    if there is no neuron.
    """

    low: float
    high: float
    neurons: int
    mean: float | None
    unrelated: float | None


class Categories(NamedTuple):
    """How many neurons are strongly affected, and of these how many suppressed and how many
    indirectly affected.
    """

    strong: int
    suppressed: int
    indirect: int


@dataclass(frozen=True)
class RankedPair:
    """Two models over the same neurons, in the same order: places 1 … n in each (int64), and which
    neurons either trained.
    """

    first: np.ndarray
    second: np.ndarray
    trained: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """Rank difference of every neuron; positive: it fell from the first model to the second."""
        difference: np.ndarray = self.second - self.first
        return difference


def load_pair(first: str | Path, second: str | Path) -> RankedPair:
    """Read and rank two models. Raises NeftError if they aren't comparable: another base model,
    text, setting or neurons.
    """
    one, other = load_utilization(first), load_utilization(second)
    for what in ("model", "text"):
        a, b = getattr(one, what), getattr(other, what)
        if a != b:
            raise NeftError(
                f"{first} and {second}: utilization of another {what} can't be compared: {a}"
                f" and {b}"
            )
    if _sizes(one) != _sizes(other):
        raise NeftError(
            f"{first} and {second}: these are not the same neurons: {_sizes(one)} and"
            f" {_sizes(other)}"
        )
    return RankedPair(
        ranks(one.scores), ranks(other.scores), _flat(one.trained) | _flat(other.trained)
    )


def _sizes(one: UtilizationArrays) -> dict[str, int]:
    return {key: len(vector) for key, vector in one.scores.items()}


def ranks(scores: Vectors) -> np.ndarray:
    """Places 1 … n by descending score, int64, in the order of keys and neurons; of equal scores
    the first comes first.
    """
    flat = _flat(scores)
    result = np.empty(len(flat), np.int64)
    result[np.argsort(-flat, kind="stable")] = np.arange(1, len(flat) + 1)
    return result


def _flat(vectors: Vectors) -> np.ndarray:
    flat: np.ndarray = np.concatenate(list(vectors.values()))
    return flat


def buckets(pair: RankedPair, edges: Sequence[float]) -> list[Bucket]:
    """Mean absolute rank difference by place in the first model; edges: ascending percentages
    between 0 and 100.
    """
    count = len(pair.first)
    ends = [round(edge / 100 * count) for edge in (0, *edges, 100)]
    distance = np.abs(pair.difference)
    result = []
    for low, high, start, end in zip((0, *edges), (*edges, 100), ends[:-1], ends[1:], strict=True):
        inside = (pair.first > start) & (pair.first <= end)
        place = pair.first[inside].astype(float)
        # Mean of |place − x| for x = 1 … count, each as likely.
        unrelated = ((place - 1) * place + (count - place) * (count - place + 1)) / (2 * count)
        means = (
            (float(distance[inside].mean()), float(unrelated.mean()))
            if end > start
            else (None, None)
        )
        result.append(Bucket(low, high, end - start, *means))
    return result


def unrelated(neurons: int, threshold: float) -> float:
    """How many of so many neurons lie more than `threshold` places apart in two rankings that have
    nothing to do with each other, on average: (1 - f)² of them, f the threshold as a share.
    """
    places = math.floor(threshold)
    return max(0, neurons - places) * max(0, neurons - places - 1) / neurons


def categories(pair: RankedPair, threshold: float) -> Categories:
    """Count the categories. A rank difference above the threshold, in places of the ranking, is
    strong.
    """
    strong = np.abs(pair.difference) > threshold
    fell = pair.difference > 0
    return Categories(
        int(strong.sum()), int((strong & fell).sum()), int((strong & ~pair.trained).sum())
    )


def by_pair(runs: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Results {a, b, seed, …} of all seeds of a pair together, by the pair's name, in the order
    given.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        found.setdefault(f"{run['a']} → {run['b']}", []).append(run)
    return found


def reach(pairs: Mapping[str, Sequence[Any]]) -> str:
    """What a figure's title says of its bars: nothing where no pair has several seeds."""
    seeds = max(map(len, pairs.values()))
    return f"; thin bars: lowest to highest of {seeds} seeds" if seeds > 1 else ""
