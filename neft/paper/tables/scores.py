"""A table of scores: what the methods of some experiments reach on their test sets (Xu et al. 2025,
Tables 1 to 5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from neft.paper import cells, published
from neft.paper.published import Planned, TableSpec
from neft.reporting.typeset import Cell, Sheet
from neft.results import runs

READS = frozenset({"runs"})


class Spec(TableSpec):
    """Scores of all methods of the experiments that name the table, on each of their test sets."""

    kind: Literal["scores"]
    """The kind of table."""


def build(
    spec: Spec, planned: Planned, root: Path, published_file: Path | None
) -> tuple[list[dict[str, Any]], list[Sheet]]:
    """Rows of the CSV, one for each score and seed, and a sheet for each model and set of metrics.

    planned: its runs; root: `results/<name>`. In the CSV `mean` and its
    interval, over seeds, are those of all rows of a score; an empty field is a number that doesn't
    exist.
    """
    values = published.read(published_file, ("model", "train", "test", "method", "metric"))
    groups = runs.group(planned.runs)
    found = [score for group in groups for score in cells.scores(root, group)]
    records = [record for score in found for record in _records(score, values.get(score.key))]
    sheets: dict[tuple[str, ...], list[cells.SeedScores]] = {}
    for score in found:
        sheets.setdefault((score.run.model, *score.run.metrics), []).append(score)
    return records, [_sheet(spec.title, key[0], shown, values) for key, shown in sheets.items()]


def _records(score: cells.SeedScores, value: published.Value | None) -> Iterator[dict[str, Any]]:
    low, high = score.over_seeds or (None, None)
    for one in score.measured:
        yield {
            "model": score.run.model,
            "train": score.train,
            "test": score.run.test,
            "method": score.run.method,
            "kind": score.run.kind,
            "metric": score.metric,
            "seed": one.seed,
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "seeds": len(score.measured),
            "mean": score.mean,
            "mean_low": low,
            "mean_high": high,
            "trainable_parameters": one.parameters,
            "percent": one.percent,
            "learning_rate": one.learning_rate,
            "epochs": one.epochs,
            "trials": one.trials,
            **published.record(value),
            "signature": score.signature,
            "notes": " ".join(score.notes),
        }


def _sheet(
    title: str,
    model: str,
    shown: Sequence[cells.SeedScores],
    values: Mapping[tuple[str, ...], published.Value],
) -> Sheet:
    """A row for each training set, test set and method; a column for each metric, and one for what
    is published of it.
    """
    metrics = {score.metric: score.title for score in shown}
    beside = {
        metric for metric in metrics if any(s.metric == metric and s.key in values for s in shown)
    }
    places: dict[tuple[str, str, str], dict[str, cells.SeedScores]] = {}
    best: dict[tuple[str, str, str], float] = {}
    for score in shown:
        places.setdefault((score.train, score.run.test, score.run.method), {})[score.metric] = score
        place = (score.train, score.run.test, score.metric)
        if place not in best or score.better(score.mean, best[place]):
            best[place] = score.mean
    header = ["Trained on, tested on", "Method", "% trained", "Learning rate", "Epochs"]
    for metric, name in metrics.items():
        header += [name, "Published"] if metric in beside else [name]
    rows = []
    for (train, test, method), row in places.items():
        first = next(iter(row.values()))
        line = [
            Cell(f"{train}, {test}"),
            Cell(method),
            Cell(f"{first.measured[0].percent:.2f}"),
            *_chosen(first),
        ]
        for metric in metrics:
            line.append(_cell(row[metric], best[train, test, metric]))
            line += [published.cell(values.get(row[metric].key))] if metric in beside else []
        rows.append(line)
    return Sheet(f"{title} ({model})", header, rows, _notes(shown, values))


def _chosen(score: cells.SeedScores) -> list[Cell]:
    """Learning rate and epochs of the trials that dev loss chose, of each seed where they
    differ.
    """
    return [
        (
            Cell(" or ".join(dict.fromkeys(f"{getattr(one, key):g}" for one in score.measured)))
            if score.run.tuned
            else Cell("–")
        )
        for key in ("learning_rate", "epochs")
    ]


def _cell(score: cells.SeedScores, best: float) -> Cell:
    digits = score.decimals
    rows = "[{:.{d}f}, {:.{d}f}]".format(*score.over_rows, d=digits)
    seeds = (
        "({:.{d}f} to {:.{d}f}) ".format(*score.over_seeds, d=digits) if score.over_seeds else ""
    )
    return Cell(f"{score.mean:.{digits}f}", bold=score.mean == best, detail=seeds + rows)


def _notes(
    shown: Sequence[cells.SeedScores],
    values: Mapping[tuple[str, ...], published.Value],
) -> list[tuple[str, str]]:
    notes = [
        ("Bold", "the best of each training set and test set."),
        ("[ ]", "95 % interval over test rows; it says nothing about other training seeds."),
    ]
    seeds = max(len(score.measured) for score in shown)
    if seeds > 1:
        notes.append(
            (
                "( )",
                (
                    f"95 % interval over up to {seeds} seeds (Student's t). Values are means over"
                    " seeds."
                ),
            )
        )
    trials = {
        score.run.method: max(one.trials or 1 for one in score.measured)
        for score in shown
        if score.run.tuned
    }
    if len(set(trials.values())) > 1:
        counts = ", ".join(f"{method} {count}" for method, count in trials.items())
        notes.append(
            (
                "Trials",
                f"not the same number for all methods, which favours those with more: {counts}.",
            )
        )
    elif trials and (count := next(iter(trials.values()))) > 1:
        notes.append(
            ("Learning rate, epochs", f"those with the lowest dev loss of {count} trials.")
        )
    notes += published.notes(values[score.key] for score in shown if score.key in values)
    return notes + [
        (title, signature)
        for title, signature in dict.fromkeys((score.title, score.signature) for score in shown)
    ]
