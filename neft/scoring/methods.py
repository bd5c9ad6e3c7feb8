"""The difference of two methods, from runs of both with the same training seeds on the same rows.

A claim about methods is about seeds that were not run and rows that were not asked, so both are
samples. With S seeds and n rows, the differences d[s, i] follow a crossed random-effects model,

    d[s, i] = difference + seed[s] + row[i] + rest[s, i],

and the variance of their mean is (A + B - E) / (S n), with the mean squares A between seeds, B
between rows and E of the rest (Searle, Casella and McCulloch 1992, ch. 4; Baayen, Davidson and
Bates 2008 on crossed subjects and items). What rows contribute does not shrink with more seeds; a t
test over seeds alone leaves it out. B - E is taken as 0 where it is negative.

A method that no seed changes (the untuned model) is one fixed system that each run of the other
method meets. It adds to what rows contribute and nothing to what seeds do, so the model is the same.

Interval and test are those of Student's t with that error. Its degrees of freedom are the harmonic
mean of S - 1 and n - 1, weighted by the shares of A and B - E in the variance: Satterthwaite's
(1946) are too many where few seeds happen to lie close together. Two seeds have one degree of
freedom.

Where every seed gives the same difference, as steps counted at few evaluations can, no spread is
seen and t knows no error. The test is then that of signs, which S seeds pass at 2 / 2^S at best, and
there is no interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from neft.errors import NeftError

if TYPE_CHECKING:
    import numpy as np


TEST = "test:t|over:seeds+rows"
"""What a signature says of a difference of methods."""
UNTUNED_SEED = 0
"""The seed of a method that has one run for all training seeds, which begin at 1."""


@dataclass(frozen=True)
class Difference:
    """The first method less the second, on the metric's scale."""

    value: float
    low: float | None
    high: float | None
    """The 95 % interval: over seeds and rows, with one seed over rows alone, of these two runs; None
    where no spread was seen.
    """
    p: float | None
    """Two-sided; None with one seed, which says nothing of methods."""
    seeds: int
    rows: int | None
    """None where no rows are sampled, as for steps of training."""
    error: float
    """Standard error of the value; 0 where no spread was seen."""
    freedom: float
    """Degrees of freedom of the error."""

    def interval(self, confidence: float) -> tuple[float, float] | tuple[None, None]:
        """The interval of any confidence, such as 0.9; None where no spread was seen."""
        from scipy import stats

        if self.error == 0:
            return None, None
        half = self.error * float(stats.t.isf((1 - confidence) / 2, self.freedom))
        return self.value - half, self.value + half

    def __neg__(self) -> Difference:
        """The second method less the first."""
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return replace(self, value=-self.value, low=low, high=high)


def equivalence(difference: Difference, margin: float) -> float | None:
    """p of the hypothesis that the methods lie `margin` or more apart: the larger one of two
    one-sided tests (Schuirmann 1987), below .05 where the 90 % interval lies within ± margin. None
    with one seed, which says nothing of methods.
    """
    from scipy import stats

    if difference.seeds == 1:
        return None
    inside = margin - abs(difference.value)
    if difference.error == 0:
        return 0.5**difference.seeds if inside > 0 else 1.0
    return float(stats.t.sf(inside / difference.error, difference.freedom))


def pair_up(
    first: Mapping[int, np.ndarray], second: Mapping[int, np.ndarray]
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Both methods' statistics by training seed. first, second: the rows' statistics [rows, k] by
    seed; the untuned model's one run meets every run of the other method.

    Raises NeftError if the methods have different seeds.
    """
    seeds = [seed for seed in dict.fromkeys([*first, *second]) if seed != UNTUNED_SEED]

    def repeated(runs: Mapping[int, np.ndarray]) -> Mapping[int, np.ndarray]:
        fixed = seeds and list(runs) == [UNTUNED_SEED]
        return dict.fromkeys(seeds, runs[UNTUNED_SEED]) if fixed else runs

    one, other = repeated(first), repeated(second)
    if sorted(one) != sorted(other):
        raise NeftError(
            f"two methods are compared on the same seeds, got {sorted(first)} and {sorted(second)}"
        )
    return {seed: (one[seed], other[seed]) for seed in one}


def over_seeds(differences: Sequence[float]) -> Difference:
    """The mean of one number per seed with Student's interval and test, where no rows are sampled.

    Raises NeftError if there are none.
    """
    import numpy as np

    if not differences:
        raise NeftError("two methods are compared on at least one seed, got 0")
    apart = np.asarray(differences, dtype=np.float64)
    seeds, mean = len(apart), float(apart.mean())
    if seeds == 1:
        return Difference(mean, None, None, None, 1, None, 0.0, 0)
    error = _seen(float(apart.std(ddof=1) / seeds**0.5), mean)
    p = _p(mean, error, seeds - 1, seeds)
    result = Difference(mean, None, None, p, seeds, None, error, seeds - 1)
    low, high = result.interval(0.95)
    return replace(result, low=low, high=high)


def compare(
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    value: Callable[[np.ndarray], np.ndarray],
) -> Difference:
    """Compare two methods.

    first, second: for each training seed, in the same order, the rows' statistics [rows, k]
    float64 (a metric's `statistics`); value: the score of their sums, from [..., k] to [...].
    Raises NeftError if the seeds or rows do not pair up, or there are fewer than two rows.
    """
    import numpy as np

    shapes = {one.shape for one in (*first, *second)}
    if not first or len(first) != len(second) or len(shapes) != 1:
        raise NeftError(
            "two methods are compared on the same seeds and rows, got"
            f" {[len(one) for one in first]} and {[len(one) for one in second]} rows"
        )
    seeds, rows = len(first), len(first[0])
    if rows < 2:
        raise NeftError("two methods are compared on at least two rows, got 1")
    apart = np.array(
        [
            float(value(a.sum(axis=0)) - value(b.sum(axis=0)))
            for a, b in zip(first, second, strict=True)
        ]
    )
    single = np.stack(
        [
            pseudo_values(a, value) - pseudo_values(b, value)
            for a, b in zip(first, second, strict=True)
        ]
    )
    mean = float(apart.mean())
    error, freedom = _error(apart, single)
    error = _seen(error, mean)
    result = Difference(mean, None, None, None, seeds, rows, error, freedom)
    low, high = result.interval(0.95)
    p = None if seeds == 1 else _p(mean, error, freedom, seeds)
    return replace(result, low=low, high=high, p=p)


def pseudo_values(statistics: np.ndarray, value: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Each row's share in a score, [rows]: n · score - (n - 1) · score without it (the jackknife;
    Tukey 1958). Of a mean these are the rows' own scores.
    """
    sums, rows = statistics.sum(axis=0), len(statistics)
    result: np.ndarray = rows * value(sums) - (rows - 1) * value(sums - statistics)
    return result


def _error(apart: np.ndarray, single: np.ndarray) -> tuple[float, float]:
    """Standard error of the mean and its degrees of freedom; apart: differences of scores [seeds],
    single: of the rows' shares in them [seeds, rows].
    """
    import numpy as np

    seeds, rows = single.shape
    by_row = single.mean(axis=0)
    if seeds == 1:
        return float(by_row.std(ddof=1) / rows**0.5), rows - 1
    of_seeds = rows * apart.var(ddof=1)
    of_rows = seeds * by_row.var(ddof=1)
    rest = single - single.mean(axis=1, keepdims=True) - by_row + single.mean()
    of_rest = (rest**2).sum() / ((seeds - 1) * (rows - 1))
    shared = max(0.0, float(of_rows - of_rest))
    total = of_seeds + shared
    if total == 0 or seeds == 2:
        return float(np.sqrt(total / seeds / rows)), seeds - 1
    freedom = total / (of_seeds / (seeds - 1) + shared / (rows - 1))
    return float(np.sqrt(total / seeds / rows)), float(freedom)


def _seen(error: float, mean: float) -> float:
    """The error, 0 where it is but the rounding of equal numbers."""
    return error if error > 1e-12 * abs(mean) else 0.0


def _p(mean: float, error: float, freedom: float, seeds: int) -> float:
    from scipy import stats

    if error == 0:
        return 1.0 if mean == 0 else 0.5 ** (seeds - 1)
    return float(2 * stats.t.sf(abs(mean) / error, freedom))
