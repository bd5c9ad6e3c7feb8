"""Tables of the publication: what all kinds of them may be asked for, and the published values that
stand beside ours.

Published values lie in CSV files with a line a value (configs/paper-results/). Read at every start
of Snakemake, so nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from neft.data import readers
from neft.errors import NeftError
from neft.reporting.typeset import Cell
from neft.results.runs import Runs
from neft.schema import Strict


class TableSpec(Strict):
    """What every table of the publication has in common; the base of the `Spec` of a plug-in in
    `neft/paper/tables/`.
    """

    title: str = Field(min_length=1)
    """The table's heading."""
    published: str | None = None
    """A CSV file of published values to put beside ours, relative to where Snakemake is started."""


class Planned(Strict):
    """What the plan tells a table beside its settings; each kind of table has use for some."""

    runs: Runs = Field([])
    """The runs that it shows."""
    models: dict[str, str] = Field({})
    """The model of each analysis of overlaps."""


class Value(NamedTuple):
    """A published number, on our scale, and what is known about it."""

    value: float
    version: str
    """The version of the publication that prints it."""
    suspect: str
    """Why it is in doubt, in a word; empty if it isn't."""
    note: str


COLUMNS = ("value", "version", "suspect", "note")
DOUBTS = {
    "copy": "also printed elsewhere: probably a slip in the publication",
    "odd": "out of line with its neighbours in the publication",
    "reading": "hard to read in the copy of the publication",
}
MARKS = dict(zip(DOUBTS, "†‡§", strict=True))


def read(path: str | Path | None, keys: Sequence[str]) -> dict[tuple[str, ...], Value]:
    """Published values by the columns `keys`; of several lines for a cell the first counts. None:
    there are none.

    Raises NeftError, naming file and line, if a column is missing, a value is no number or a doubt
    is none of DOUBTS.
    """
    found: dict[tuple[str, ...], Value] = {}
    if path is None:
        return found
    for where, row in readers.read(Path(path)):
        missing = [column for column in (*keys, *COLUMNS) if column not in row]
        if missing:
            raise NeftError(f"{path}: no column '{missing[0]}'; there are: {', '.join(row)}")
        if row["suspect"] not in ("", *DOUBTS):
            raise NeftError(
                f"{where}: suspect: one of {', '.join(DOUBTS)} or nothing, got '{row['suspect']}'"
            )
        try:
            value = Value(float(row["value"]), row["version"], row["suspect"], row["note"])
        except ValueError as error:
            raise NeftError(f"{where}: value: expected a number, got '{row['value']}'") from error
        found.setdefault(tuple(row[key] for key in keys), value)
    return found


def record(value: Value | None) -> dict[str, Any]:
    """The columns of a table's CSV that hold a published value; all None if there is none."""
    names = ("published", "published_version", "suspect", "note")
    return (
        dict(
            zip(
                names,
                (value.value, value.version, value.suspect or None, value.note or None),
                strict=True,
            )
        )
        if value
        else (dict.fromkeys(names))
    )


def cell(value: Value | None, digits: int = 1) -> Cell:
    """A published value for people: marked if it is in doubt, with its version where that is not
    the last one.
    """
    if value is None:
        return Cell("–")
    return Cell(
        f"{value.value:.{digits}f}{MARKS.get(value.suspect, '')}",
        detail="(v1)" if value.version == "v1" else "",
    )


def notes(values: Iterable[Value]) -> list[tuple[str, str]]:
    """What the marks of these values mean."""
    shown = list(values)
    doubts = {value.suspect for value in shown}
    found = (
        [("Published", "as the publication prints it (COLING 2025; v1: first version on arXiv).")]
        if shown
        else []
    )
    return found + [(MARKS[doubt], f"{DOUBTS[doubt]}.") for doubt in DOUBTS if doubt in doubts]
