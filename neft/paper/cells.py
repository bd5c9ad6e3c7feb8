"""A score of one method, seed by seed: what the cells of the publication's tables are made of."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neft.results.runs import Group, Run, paths, read, score_records, trials

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Measured:
    """One run's score, with its interval over test rows, and how the run was tuned (None where it
    wasn't).
    """

    seed: int
    value: float
    low: float
    high: float
    parameters: float
    percent: float
    learning_rate: float | None
    epochs: float | None
    trials: int | None


@dataclass(frozen=True)
class SeedScores:
    """One metric of one method on one test set, of all its seeds."""

    run: Run
    """Any of its runs: they differ in the seed alone."""
    train: str
    """The training set beside whose results it stands; that of the untuned model's neighbours, if
    it is that.
    """
    metric: str
    title: str
    higher_is_better: bool
    decimals: int
    signature: str
    notes: tuple[str, ...]
    measured: tuple[Measured, ...]

    def better(self, value: float, other: float) -> bool:
        """Whether one value of this metric is better than another: higher, or lower where lower is
        better.
        """
        return value > other if self.higher_is_better else value < other

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return statistics.fmean(one.value for one in self.measured)

    @property
    def over_seeds(self) -> tuple[float, float] | None:
        """Its 95 % interval over seeds; None for one seed."""
        return t_interval([one.value for one in self.measured])

    @property
    def over_rows(self) -> tuple[float, float]:
        """The 95 % interval over test rows: the means of the seeds' bounds, so that of a typical
        run.
        """
        lows, highs = ([getattr(one, end) for one in self.measured] for end in ("low", "high"))
        return statistics.fmean(lows), statistics.fmean(highs)

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """The cell's model, training set, test set, method and metric, as published values name
        it.
        """
        return (self.run.model, self.run.dataset, self.run.test, self.run.method, self.metric)


def t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % confidence interval of a mean by Student's t; None for fewer than two values."""
    if len(values) < 2:
        return None
    from scipy import stats

    half = (
        stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
        * statistics.stdev(values)
        / len(values) ** 0.5
    )
    middle = statistics.fmean(values)
    return middle - float(half), middle + float(half)


def scores(root: str | Path, group: Group) -> list[SeedScores]:
    """All scores of a group, method by method. Raises NeftError if a file is missing or seeds were
    not scored alike.
    """
    return [
        _score(root, group, runs, metric)
        for runs in group.methods.values()
        for metric in runs[0].metrics
    ]


def _score(root: str | Path, group: Group, runs: Sequence[Run], metric: str) -> SeedScores:
    looks = ("title", "higher_is_better", "decimals")
    records, signature = score_records(root, runs, metric, *looks, "value", "low", "high", "notes")
    measured = tuple(
        _measured(root, run, record) for run, record in zip(runs, records, strict=True)
    )
    notes = tuple(dict.fromkeys(note for record in records for note in record["notes"]))
    return SeedScores(
        run=runs[0],
        train=group.dataset,
        metric=metric,
        **{key: records[0][key] for key in looks},
        signature=signature,
        notes=notes,
        measured=measured,
    )


def _measured(root: str | Path, run: Run, score: dict[str, Any]) -> Measured:
    bounds = (run.seed, score["value"], score["low"], score["high"])
    path = paths(root, run).metrics
    if path is None:
        return Measured(*bounds, 0, 0.0, None, None, None)
    tuned = read(path, "trainable_parameters", "percent", "learning_rate", "epochs")
    return Measured(
        *bounds,
        tuned["trainable_parameters"],
        tuned["percent"],
        tuned["learning_rate"],
        tuned["epochs"],
        trials(root, [run]),
    )
