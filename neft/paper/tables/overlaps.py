"""A table of overlaps of masks, beside what they would be without the task, by budget (Xu et al.
2025, Table 6).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from neft.data import readers
from neft.paper import published
from neft.paper.cells import t_interval
from neft.paper.published import Planned, TableSpec
from neft.reporting.typeset import Cell, Sheet
from neft.schema import Name

READS = frozenset({"overlaps"})


class Spec(TableSpec):
    """How many neurons masks share: every pair of some `analyses.overlaps`, beside what chance
    gives.
    """

    kind: Literal["overlaps"]
    """The kind of table."""
    overlaps: tuple[Name, ...] = Field(min_length=1)
    """Keys of `analyses.overlaps`, in the order of the table."""


def build(
    spec: Spec, planned: Planned, root: Path, published_file: Path | None
) -> tuple[list[dict[str, Any]], list[Sheet]]:
    """Rows of the CSV, one for each pair of masks and seed, and a sheet of all pairs.

    planned: the model of each overlap; root: `results/<name>`, with
    `tables/overlap_<overlap>.csv`. Overlaps are percent of the smaller mask; `mean` and its
    interval, over seeds, are of the overlap. What is published above chance is the published
    overlap less our chance level, which needs masks of its sizes.
    """
    values = published.read(published_file, ("model", "overlap", "mask"))
    records: list[dict[str, Any]] = []
    rows, shown = [], []
    for overlap in spec.overlaps:
        model = planned.models[overlap]
        pairs: dict[tuple[str, str], list[dict[str, str]]] = {}
        for _, row in readers.read(root / "tables" / f"overlap_{overlap}.csv"):
            pairs.setdefault((row["a"], row["b"]), []).append(row)
        for names, measured in pairs.items():
            mask = names[0].partition(" ")[0]  # what differs from the analysis stands behind it
            value = values.get((model, overlap, mask))
            records += _records(model, overlap, names, mask, measured, value)
            rows.append(_cells(overlap, names, measured, value, beside=bool(values)))
            shown += [value] if value else []
    header = [
        "Comparison",
        "Masks",
        "Seeds",
        "% of neurons",
        "Overlap (%)",
        "Chance (%)",
        "Above (points)",
    ]
    header += ["Published (%)", "Published above chance"] if values else []
    notes = [
        ("Overlap", "neurons that both masks hold, in percent of the smaller one."),
        (
            "Chance",
            (
                "what random masks share that have as many neurons of every module, and in it of"
                " every tenth of the norms."
            ),
        ),
        (
            "Above",
            (
                "overlap less the largest of chance and of what either mask shares with the"
                " analysis' references."
            ),
        ),
    ]
    if any(int(record["seeds"]) > 1 for record in records):
        notes.append(
            ("( )", "95 % interval over seeds (Student's t). Values are means over seeds.")
        )
    return records, [Sheet(spec.title, header, rows, notes + published.notes(shown))]


def _records(
    model: str,
    overlap: str,
    names: tuple[str, str],
    mask: str,
    measured: Sequence[dict[str, str]],
    value: published.Value | None,
) -> Iterator[dict[str, Any]]:
    overlaps = [float(row["overlap"]) for row in measured]
    low, high = t_interval(overlaps) or (None, None)
    for row in measured:
        chance = float(row["chance"])
        yield {
            "model": model,
            "overlap": overlap,
            "mask": mask,
            "first": names[0],
            "second": names[1],
            "first_neurons": row["first"],
            "second_neurons": row["second"],
            "percent_of_neurons": _share(row),
            "seed": row["seed"],
            "value": float(row["overlap"]),
            "chance": chance,
            "above": float(row["above"]),
            "seeds": len(measured),
            "mean": statistics.fmean(overlaps),
            "mean_low": low,
            "mean_high": high,
            **published.record(value),
            "published_above_chance": value.value - chance if value else None,
        }


def _share(row: Mapping[str, str]) -> float:
    """Size of the first mask in percent of the neurons that it could choose from."""
    return 100 * float(row["first"]) / float(row["offered"])


def _cells(
    overlap: str,
    names: tuple[str, str],
    measured: Sequence[dict[str, str]],
    value: published.Value | None,
    beside: bool,
) -> list[Cell]:
    def mean(key: str) -> float:
        return statistics.fmean(float(row[key]) for row in measured)

    interval = t_interval([float(row["overlap"]) for row in measured])
    line = [
        Cell(overlap),
        Cell(" and ".join(names)),
        Cell(str(len(measured))),
        Cell(f"{statistics.fmean(map(_share, measured)):.1f}"),
        Cell(
            f"{mean('overlap'):.1f}",
            detail=f"({interval[0]:.1f} to {interval[1]:.1f})" if interval else "",
        ),
        Cell(f"{mean('chance'):.1f}"),
        Cell(f"{mean('above'):.1f}"),
    ]
    if beside:
        above = f"{value.value - mean('chance'):.1f}" if value else "–"
        line += [published.cell(value, digits=0), Cell(above)]
    return line
