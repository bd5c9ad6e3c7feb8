"""Do the scores of two runs on the same rows differ by more than chance?

Every test here asks the same: if the two systems were equal, then of each row either output could
as well have come from either of them. So rows are swapped between the systems, and p is the share
of swaps after which the scores lie at least as far apart as they do: approximate randomisation
(Noreen 1989; Riezler and Maxwell 2005). It is about these runs on rows like these; another training
seed is another question (`neft.scoring.methods`).

Whatever the metric, it needs no more than the statistics that the metric sums over rows. For a mean
of the rows' scores a swap flips the sign of a difference, and if all differences are of one size,
as for right and wrong answers, the exact p is a binomial one: McNemar's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

from neft.errors import NeftError
from neft.schema import Strict
from neft.scoring.score import Resampled

if TYPE_CHECKING:
    import numpy as np

EXACT = 12
"""Up to so many rows that differ all swaps are tried: 4,096."""
_BLOCK = 1000  # trials at once: 8 MB for 1,000 rows
_EQUAL = 1e-9
"""Scores that lie so close together are the same, but for rounding."""


@dataclass(frozen=True)
class Comparison:
    """The scores of two runs on the same rows; p: how often chance alone gives a difference at
    least as large, either way.
    """

    value: float
    baseline_value: float
    p: float


def compare(metric: ModuleType, spec: Strict, first: np.ndarray, second: np.ndarray) -> Comparison:
    """Test a run against another.

    metric: a plug-in; first, second: what its `statistics` gave for the two runs' rows, [rows, k]
    float64. Raises NeftError as `swaps`.
    """
    value = partial(metric.value, spec=spec)
    scores = float(value(first.sum(axis=0))), float(value(second.sum(axis=0)))
    if isinstance(spec, Resampled):
        return Comparison(*scores, swaps(first, second, value, trials=spec.trials, seed=spec.seed))
    return Comparison(*scores, swaps(first, second, value))


def name_of(spec: Strict) -> str:
    """The test of two runs, as a signature names it."""
    if isinstance(spec, Resampled):
        return f"test:swaps|trials:{spec.trials}|seed:{spec.seed}"
    return "test:mcnemar-exact"


def swaps(
    first: np.ndarray,
    second: np.ndarray,
    value: Callable[[np.ndarray], np.ndarray],
    *,
    trials: int = 10000,
    seed: int = 12345,
) -> float:
    """Two-sided p of two systems' difference by swapping rows between them.

    first, second: the rows' statistics, [rows, k] float64; value: the score of their sums, from
    [..., k] to [...]. Up to `EXACT` rows that differ all swaps are tried, and the observed one is
    among them; else `trials` random ones, and p = (count + 1) / (trials + 1). Raises NeftError if
    the numbers of rows differ or a statistic is not finite.
    """
    import numpy as np

    if first.shape != second.shape:
        raise NeftError(
            f"a paired test needs the same rows of both systems, got {len(first)} and {len(second)}"
        )
    if not np.isfinite([first, second]).all():
        raise NeftError("a paired test needs finite numbers, but a row's score is not one")
    if is_mean(first, second) and (counts := _of_one_size(first[:, 0] - second[:, 0])):
        return mcnemar(*counts)
    sums = np.stack([first.sum(axis=0), second.sum(axis=0)])
    apart = first - second
    apart = apart[apart.any(axis=1)]
    observed = abs(float(np.subtract(*value(sums))))
    count = total = 0
    for picks in _picks(len(apart), trials, np.random.default_rng(seed)):
        moved = picks @ apart  # [block, k]: what goes from the first system to the second
        distance = np.abs(value(sums[0] - moved) - value(sums[1] + moved))
        count += int((distance >= observed - _EQUAL).sum())
        total += len(picks)
    return count / total if len(apart) <= EXACT else (count + 1) / (total + 1)


def _picks(rows: int, trials: int, draw: np.random.Generator) -> Iterator[np.ndarray]:
    """Which rows are swapped, blocks of [trials, rows] float64 of 0 and 1."""
    import numpy as np

    if rows <= EXACT:
        yield (np.arange(1 << rows)[:, None] >> np.arange(rows) & 1).astype(np.float64)
        return
    for start in range(0, trials, _BLOCK):
        block = min(_BLOCK, trials - start)
        yield draw.integers(2, size=(block, rows), dtype=np.int8).astype(np.float64)


def is_mean(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether the statistics are [score · weight, weight] with the same weights in both systems."""
    return first.shape[1] == 2 and bool((first[:, 1] == second[:, 1]).all())


def _of_one_size(differences: np.ndarray) -> tuple[int, int] | None:
    """How many are positive and negative, if all but the zeros are of one size; else None."""
    import numpy as np

    sizes = np.abs(differences[differences != 0])
    if len(sizes) and sizes.max() - sizes.min() > _EQUAL:
        return None
    return int((differences > 0).sum()), int((differences < 0).sum())


def mcnemar(better: int, worse: int) -> float:
    """How often a fair coin for each row that only one system has right falls at least as unevenly
    (McNemar 1947, exact).
    """
    n, fewer = better + worse, min(better, worse)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(fewer + 1)) / (1 << n))
