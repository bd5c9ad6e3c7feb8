"""Two methods on one test set: how far they lie apart, and what the runs of every seed scored."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

from neft.schema import Strict
from neft.scoring import methods, significance
from neft.scoring.methods import Difference

if TYPE_CHECKING:
    import numpy as np


class SeedScores(Strict):
    """The scores of the two runs of one seed."""

    seed: int
    first: float
    second: float


class Pair(Strict):
    """The comparison of two methods by one metric, as `compare_methods` writes it down."""

    first: str
    second: str
    difference: Difference
    """The first method less the second; of one seed that of its two runs."""
    run_p: float | None
    """With one seed p of these two runs (`significance`); with several there is `difference.p`."""
    runs: tuple[SeedScores, ...]
    signature: str
    """Of the metric, with the test that p comes from."""

    @property
    def p(self) -> float | None:
        """Two-sided p: of methods, or with one seed of two runs."""
        return self.run_p if self.one_seed else self.difference.p

    @property
    def one_seed(self) -> bool:
        """Whether this speaks of two runs, and not of methods."""
        return self.difference.seeds == 1

    def turned(self) -> Pair:
        """The same with the second method first."""
        runs = tuple(
            SeedScores(seed=one.seed, first=one.second, second=one.first) for one in self.runs
        )
        ends = {"first": self.second, "second": self.first}
        return self.model_copy(update=ends | {"difference": -self.difference, "runs": runs})


def compare(
    metric: ModuleType,
    spec: Strict,
    first: tuple[str, Mapping[int, np.ndarray]],
    second: tuple[str, Mapping[int, np.ndarray]],
    signature: str,
) -> Pair:
    """Compare two methods.

    metric: a plug-in; first, second: a method's name and, by training seed, what the plug-in's
    `statistics` gave for the rows, [rows, k] float64; signature: its `signature`. Raises NeftError
    as `methods.pair_up` and `methods.compare`.
    """
    value = partial(metric.value, spec=spec)
    paired = methods.pair_up(first[1], second[1])
    ours, others = ([both[side] for both in paired.values()] for side in (0, 1))
    difference = methods.compare(ours, others, value)
    run_p, test = None, f"{signature}|test:crossed-t|seeds:{len(paired)}"
    if len(paired) == 1:
        ((one, other),) = paired.values()
        found = significance.compare(metric, spec, one, other, signature)
        run_p, test = found.p, found.signature
    runs = tuple(
        SeedScores(
            seed=seed,
            first=float(value(one.sum(axis=0))),
            second=float(value(other.sum(axis=0))),
        )
        for seed, (one, other) in paired.items()
    )
    return Pair(
        first=first[0],
        second=second[0],
        difference=difference,
        run_p=run_p,
        runs=runs,
        signature=test,
    )
