"""A method's results in one place: what was tuned, what it cost and how it scored, over its
seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neft.results import comparisons
from neft.results.comparisons import Comparison
from neft.results.runs import Group, Run, paths, read, score_records, trials

COSTS = ("train_seconds", "tokens_per_second", "peak_memory_bytes", "delta_bytes")


@dataclass(frozen=True)
class Mean:
    """A number over seeds; sd is the sample standard deviation, None for one seed."""

    value: float
    sd: float | None = None


@dataclass(frozen=True)
class Result:
    """One metric of one method.

    With several seeds value, low and high are means over them: an interval for a typical run, not
    for the mean of the runs.
    """

    title: str
    value: Mean
    low: float
    high: float
    signature: str
    by_seed: tuple[float, ...] = ()
    """The values that `value` is the mean of."""
    comparison: Comparison | None = None
    """This method less the baseline; None for the baseline, and where nothing was compared."""
    test: str = ""
    """The comparison's signature."""
    standard_error: float | None = None
    """Mean over seeds, like the interval's bounds; None where the metric has none."""
    details: dict[str, float] = field(default_factory=dict)
    """Means over seeds of the other numbers that the metric keeps."""
    notes: tuple[str, ...] = ()
    """What a reader must know to trust the value, of any seed."""
    higher_is_better: bool = True
    decimals: int = 1
    """How many places are shown."""


@dataclass(frozen=True)
class Row:
    """One method within a group. The untuned model trains 0 parameters and has no dev loss,
    learning rate or costs.
    """

    method: str
    kind: str
    seeds: int
    trainable_parameters: float
    percent: float
    learning_rates: tuple[float, ...]
    trials: int
    """How many it was chosen from; of seeds with different numbers the most."""
    dev_loss: Mean | None
    costs: dict[str, float]
    results: dict[str, Result]


def rows(root: str | Path, group: Group, baseline: str | None = None) -> list[Row]:
    """Read a group's files under `results/<name>`, in the order of its methods. baseline: the
    method that all are compared with; None reads no comparisons.

    Raises NeftError if a file is missing or incomplete, or if the seeds of a method were not scored
    alike.
    """
    return [_row(root, group, runs, baseline) for runs in group.methods.values()]


def _row(root: str | Path, group: Group, runs: Sequence[Run], baseline: str | None) -> Row:
    first = runs[0]
    results = {metric: _result(root, group, runs, metric, baseline) for metric in first.metrics}
    if not first.tuned:
        return Row(first.method, first.kind, len(runs), 0, 0.0, (), 0, None, {}, results)
    keys = ("trainable_parameters", "percent", "learning_rate", "dev_loss", *COSTS)
    records = [read(path, *keys) for run in runs if (path := paths(root, run).metrics)]

    def over_seeds(key: str) -> Mean:
        return mean([record[key] for record in records])

    return Row(
        method=first.method,
        kind=first.kind,
        seeds=len(runs),
        trainable_parameters=over_seeds("trainable_parameters").value,
        percent=over_seeds("percent").value,
        learning_rates=tuple(sorted({record["learning_rate"] for record in records})),
        trials=trials(root, runs),
        dev_loss=over_seeds("dev_loss"),
        costs={key: over_seeds(key).value for key in COSTS},
        results=results,
    )


def _result(
    root: str | Path, group: Group, runs: Sequence[Run], metric: str, baseline: str | None
) -> Result:
    keys = ("title", "value", "low", "high", "standard_error", "details", "notes")
    looks = ("higher_is_better", "decimals")
    scores, signature = score_records(root, runs, metric, *keys, *looks)
    compared = _compared(root, group, runs[0], metric, baseline) if baseline else None
    errors = [score["standard_error"] for score in scores]
    return Result(
        title=scores[0]["title"],
        value=mean([score["value"] for score in scores]),
        low=mean([score["low"] for score in scores]).value,
        high=mean([score["high"] for score in scores]).value,
        signature=signature,
        by_seed=tuple(score["value"] for score in scores),
        comparison=compared[0] if compared else None,
        test=compared[1] if compared else "",
        standard_error=None if None in errors else mean(errors).value,
        details={
            name: mean([score["details"][name] for score in scores]).value
            for name in scores[0]["details"]
        },
        notes=tuple(dict.fromkeys(note for score in scores for note in score["notes"])),
        **{key: scores[0][key] for key in looks},
    )


def _compared(
    root: str | Path, group: Group, run: Run, metric: str, baseline: str
) -> tuple[comparisons.Comparison, str] | None:
    """How a run's method differs from the baseline, where both meet, and the test's signature."""
    met = group.methods.get(baseline, [])
    if run.method == baseline or not any(metric in one.metrics for one in met):
        return None
    found = comparisons.load(root, group.model, group.dataset, group.test, metric)
    return found.of(run.method, baseline), found.signature


def mean(values: Sequence[float]) -> Mean:
    """The mean of a number over seeds; equal values stay exactly what they are."""
    if len(set(values)) == 1:
        return Mean(values[0], 0.0 if len(values) > 1 else None)
    return Mean(statistics.fmean(values), statistics.stdev(values))
