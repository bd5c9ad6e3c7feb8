"""A table of duels: every method of one list against every method of another (Xu et al. 2025, Table
7).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from neft.paper import cells, published
from neft.paper.published import Planned, TableSpec
from neft.reporting.typeset import Cell, Sheet
from neft.results import comparisons, runs
from neft.results.comparisons import Comparison
from neft.schema import Name
from neft.scoring.corrections import LEVEL, holm

READS = frozenset({"runs", "comparisons"})


class Spec(TableSpec):
    """Every method of `rows` against every one of `columns`, on each test set of the experiments
    that name the table.
    """

    kind: Literal["duels"]
    """The kind of table."""
    rows: tuple[Name, ...] = Field(min_length=1)
    """Keys of `methods` (LoRA of several ranks, say)."""
    columns: tuple[Name, ...] = Field(min_length=1)
    """Keys of `methods` (NeFT of several budgets, say): whose wins are counted."""


Where = tuple[str, str, str, str]
"""Model, training set, test set and metric."""


class Duel(NamedTuple):
    """Two methods on one test set: their scores and how they compare."""

    row: cells.SeedScores
    column: cells.SeedScores
    comparison: Comparison
    """The column's method less the row's."""
    p: float
    """Corrected for the number of duels in the table."""
    row_published: published.Value | None
    column_published: published.Value | None

    @property
    def winner(self) -> str:
        """The method with the better mean, or nothing."""
        return _winner(self.row.mean, self.column.mean, self.row, self.column)

    @property
    def significant(self) -> bool:
        """Whether the two differ by more than chance."""
        return self.p < LEVEL

    @property
    def published_winner(self) -> str | None:
        """The published winner; None where a value is missing or the two are of different
        versions.
        """
        row, column = self.row_published, self.column_published
        if row is None or column is None or row.version != column.version:
            return None
        return _winner(row.value, column.value, self.row, self.column)


@dataclass
class Tally:
    """How some duels end, as the columns' methods see it."""

    duels: int = 0
    won: int = 0
    won_significantly: int = 0
    lost: int = 0
    lost_significantly: int = 0
    published: int = 0
    """Duels of which both published values are known, of one version."""
    published_won: int = 0

    @classmethod
    def of(cls, duels: Iterable[Duel]) -> Tally:
        """Count duels; equal means are neither won nor lost."""
        tally = cls()
        for duel in duels:
            column = duel.column.run.method
            tally.duels += 1
            if duel.winner == column:
                tally.won += 1
                tally.won_significantly += duel.significant
            elif duel.winner:
                tally.lost += 1
                tally.lost_significantly += duel.significant
            if duel.published_winner is not None:
                tally.published += 1
                tally.published_won += duel.published_winner == column
        return tally

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def cells(self) -> list[Cell]:
        """The counts in the order of the sheet's columns."""
        ours = (
            self.duels,
            self.won,
            self.won_significantly,
            self.lost,
            self.lost_significantly,
        )
        published_won = f"{self.published_won} of {self.published}" if self.published else "–"
        return [*(Cell(str(count)) for count in ours), Cell(published_won)]


def _winner(
    row_value: float, column_value: float, row: cells.SeedScores, column: cells.SeedScores
) -> str:
    if row_value == column_value:
        return ""
    return (row if row.better(row_value, column_value) else column).run.method


def build(
    spec: Spec, planned: Planned, root: Path, published_file: Path | None
) -> tuple[list[dict[str, Any]], list[Sheet]]:
    """Rows of the CSV, one for each duel and seed; a sheet that counts wins, and one with the duels
    of each test and metric.

    planned: its runs; root: `results/<name>`. In the CSV `difference` is the column's score less
    the row's, of a seed, with `run_p`; `mean_difference` with its interval, `p` (None for one seed)
    and `winner` are of the methods.
    """
    values = published.read(published_file, ("model", "train", "test", "method", "metric"))
    met: dict[Where, list[tuple[cells.SeedScores, cells.SeedScores, Comparison]]] = {}
    for group in runs.group(planned.runs):
        found = {(score.run.method, score.metric): score for score in cells.scores(root, group)}
        for metric in dict.fromkeys(metric for _, metric in found):
            where = (group.model, group.dataset, group.test, metric)
            pairs = [
                (found[row, metric], found[column, metric])
                for row, column in product(spec.rows, spec.columns)
                if (row, metric) in found and (column, metric) in found
            ]
            if pairs:
                compared = comparisons.load(root, *where)
                met[where] = [
                    (row, column, compared.of(column.run.method, row.run.method))
                    for row, column in pairs
                ]
    ps = iter(holm([comparison.p for duels in met.values() for *_, comparison in duels]))
    places = {
        where: [
            Duel(*duel, next(ps), *(values.get(score.key) for score in duel[:2])) for duel in duels
        ]
        for where, duels in met.items()
    }
    records = [record for duels in places.values() for duel in duels for record in _records(duel)]
    sheets = [_sheet(spec, place, duels) for place, duels in places.items()]
    return records, [_wins(spec, places), *sheets]


def _records(duel: Duel) -> Iterator[dict[str, Any]]:
    row, column = duel.row, duel.column
    found = duel.comparison.difference
    for run in duel.comparison.runs:
        yield {
            "model": row.run.model,
            "train": row.train,
            "test": row.run.test,
            "metric": row.metric,
            "row": row.run.method,
            "column": column.run.method,
            "row_parameters": row.measured[0].parameters,
            "column_parameters": column.measured[0].parameters,
            "seed": run.seed,
            "row_value": run.second,
            "column_value": run.first,
            "difference": run.first - run.second,
            "run_p": run.p,
            "seeds": found.seeds,
            "rows": found.rows,
            "mean_difference": found.value,
            "mean_difference_low": found.low,
            "mean_difference_high": found.high,
            "winner": duel.winner,
            "p": found.p,
            **{f"row_{key}": value for key, value in published.record(duel.row_published).items()},
            **{
                f"column_{key}": value
                for key, value in published.record(duel.column_published).items()
            },
            "published_winner": duel.published_winner,
        }


def _sheet(spec: Spec, place: Where, duels: Sequence[Duel]) -> Sheet:
    """Every method of the rows against every one of the columns, in one metric on one test set."""
    model, train, test, _ = place
    across = {duel.column.run.method: duel.column for duel in duels}
    down = {duel.row.run.method: duel.row for duel in duels}
    cells_of = {(duel.row.run.method, duel.column.run.method): duel for duel in duels}
    header = [
        "Method",
        "% trained",
        "Score",
        *(f"{method} {score.mean:.{score.decimals}f}" for method, score in across.items()),
    ]
    rows = [
        [
            Cell(name),
            Cell(f"{score.measured[0].percent:.2f}"),
            Cell(f"{score.mean:.{score.decimals}f}"),
        ]
        + [_duel(cells_of[name, method]) for method in across]
        for name, score in down.items()
    ]
    signature = duels[0].row.signature
    notes = [
        (
            "Cells",
            (
                "score of the column's method less that of the row's; bold where the column's is"
                " better."
            ),
        ),
        (
            "*",
            (
                f"{_tested(duels)} differ by more than chance: p < {LEVEL}, corrected for all"
                " duels of this table (Holm)."
            ),
        ),
        (duels[0].row.title, signature),
    ]
    title = f"{spec.title}: {duels[0].row.title}, {model} tuned on {train}, tested on {test}"
    values = [
        value for duel in duels for value in (duel.row_published, duel.column_published) if value
    ]
    if values:
        notes.append(
            (
                "[ ]",
                "the published difference, of one version; marked if either number is in doubt.",
            )
        )
    return Sheet(title, header, rows, [*notes, *published.notes(values)])


def _duel(duel: Duel) -> Cell:
    row, column, digits = duel.row_published, duel.column_published, duel.row.decimals
    detail = ""
    if row and column and row.version == column.version:
        marks = "".join(
            published.MARKS[doubt]
            for doubt in published.DOUBTS
            if doubt in (row.suspect, column.suspect)
        )
        detail = f"[{column.value - row.value:+z.{digits}f}{marks}]"
    text = f"{duel.comparison.difference.value:+z.{digits}f}{'*' * duel.significant}"
    return Cell(text, bold=duel.winner == duel.column.run.method, detail=detail)


def _tested(duels: Iterable[Duel]) -> str:
    """What the tests are about."""
    several = any(duel.comparison.difference.seeds > 1 for duel in duels)
    return "the two methods" if several else "these two runs (one seed, so nothing of methods)"


def _wins(spec: Spec, places: Mapping[Where, Sequence[Duel]]) -> Sheet:
    """How many duels the columns' methods win, by training set, test set and metric, and in all."""
    one_model = len({place[0] for place in places}) == 1
    all_duels = [duel for duels in places.values() for duel in duels]
    totals: dict[str, list[Tally]] = {}
    rows = []
    for (model, train, test, metric), duels in places.items():
        where = f"{train}, {test}" if one_model else f"{model}: {train}, {test}"
        tally = Tally.of(duels)
        totals.setdefault(metric, []).append(tally)
        rows.append([Cell(where), Cell(metric), *tally.cells()])
    for metric, tallies in totals.items():
        if len(tallies) > 1:
            rows.append([Cell("all"), Cell(metric), *sum(tallies, Tally()).cells()])
    header = [
        "Trained on, tested on",
        "Metric",
        "Duels",
        "Won",
        "… significantly",
        "Lost",
        "… significantly",
        "Published: won",
    ]
    columns, others = ", ".join(spec.columns), ", ".join(spec.rows)
    notes = [
        ("Won", f"by {columns} over {others}: the better mean over seeds."),
        (
            "… significantly",
            (f"p < {LEVEL} for {_tested(all_duels)}, corrected for the number of duels (Holm)."),
        ),
        (
            "Duels",
            "that share a method, or rows of a test set, are not independent of one another.",
        ),
    ]
    return Sheet(f"{spec.title}: wins", header, rows, notes)
