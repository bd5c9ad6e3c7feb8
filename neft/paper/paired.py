"""Paired tests of two methods, over seeds: read from files, put into one p, and corrected for their
number.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neft.errors import NeftError
from neft.results.runs import Run, pairs_file, paths, read

LEVEL = 0.05
"""Below this a p, corrected where there are several, counts as significant."""


@dataclass(frozen=True)
class Paired:
    """Two methods on the same test rows: one difference and one p for each seed that both have."""

    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    """The first method's score less the second's."""
    ps: tuple[float, ...]
    """Two-sided."""

    @property
    def difference(self) -> float:
        """The mean over seeds."""
        return statistics.fmean(self.differences)

    @property
    def p(self) -> float:
        """The largest of the seeds', so that a small one holds for each of them; 1 if they disagree
        on who is ahead.
        """
        ahead = {difference > 0 for difference in self.differences if difference}
        return 1.0 if len(ahead) != 1 else max(self.ps)


def compare(
    root: str | Path, first: Sequence[Run], second: Sequence[Run], metric: str, baseline: str
) -> Paired:
    """Two methods' runs of one model, training set and test set, by the tests that were made of
    them.

    baseline: the method that every run was compared with already. Raises NeftError if a test is
    missing.
    """
    others = {run.seed: run for run in second}
    runs = [run for run in first if run.seed in others]
    if not runs:
        raise NeftError(
            f"{first[0].method} and {second[0].method} have no seed in common: there is nothing to"
            " pair"
        )
    found = [_test(root, run, others[run.seed], metric, baseline) for run in runs]
    differences, ps = zip(*found, strict=True)
    return Paired(tuple(run.seed for run in runs), differences, ps)


def _test(
    root: str | Path, first: Run, second: Run, metric: str, baseline: str
) -> tuple[float, float]:
    """The difference of two runs' scores, and its p."""
    if baseline in (first.method, second.method):
        sign, run = (1, first) if second.method == baseline else (-1, second)
        record = read(paths(root, run).comparisons[metric], "value", "baseline_value", "p")
        return sign * (record["value"] - record["baseline_value"]), record["p"]
    path = pairs_file(root, first, metric)
    for pair in read(path, "pairs")["pairs"]:
        for sign, names in (
            (1, (first.method, second.method)),
            (-1, (second.method, first.method)),
        ):
            if (pair["first"], pair["second"]) == names:
                return sign * (pair["first_value"] - pair["second_value"]), pair["p"]
    raise NeftError(
        f"{path}: {first.method} and {second.method} were not compared; run compare_pairs again"
    )


def holm(ps: Sequence[float]) -> list[float]:
    """Corrected for their number (Holm 1979): the chance of any false finding below a level is at
    most that level.
    """
    corrected, largest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = largest
    return corrected
