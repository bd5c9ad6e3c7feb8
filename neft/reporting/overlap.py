"""The overlap of pairs of masks as a table (Xu et al., COLING 2025, Table 6), beside what chance
gives.

Two random picks of a fifth of all neurons already share a fifth of theirs: what says something is
the overlap above that.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from neft.core import mask
from neft.core.mask import NeuronMask
from neft.errors import NeftError
from neft.reporting.typeset import Cell, Sheet


def measure(first: NeuronMask, second: NeuronMask) -> dict[str, float]:
    """Sizes and overlap of two masks of one base model.

    first, second, offered, shared and chance are neurons; overlap and chance_overlap percent of the
    smaller mask (the publication's are of equal size); above_chance is their difference in
    percentage points. Raises NeftError if a mask is empty or they are of different models.
    """
    found = mask.overlap(first, second)
    smaller = min(found.first, found.second)
    if not smaller:
        raise NeftError("overlap: a mask without neurons shares none with any other")
    share, chance = 100 * found.shared / smaller, 100 * found.chance / smaller
    counts = {
        key: getattr(found, key) for key in ("first", "second", "offered", "shared", "chance")
    }
    return {**counts, "overlap": share, "chance_overlap": chance, "above_chance": share - chance}


def sheet(title: str, rows: Sequence[dict[str, Any]]) -> Sheet:
    """One row a pair, in their order: means over its seeds. rows: {a, b, seed} and what `measure`
    returned.
    """
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        pairs.setdefault((row["a"], row["b"]), []).append(row)
    header = ["First", "Second", "Seeds", "First (neurons)", "Second (neurons)", "Shared (neurons)"]
    notes = [
        ("Overlap", "shared neurons in percent of the smaller mask."),
        (
            "Chance",
            (
                "the same on average for masks of these sizes, each drawn at random from the"
                " neurons that it could choose from."
            ),
        ),
        ("Above chance", "overlap less chance, in percentage points."),
    ]
    if any(len(group) > 1 for group in pairs.values()):
        notes.append(("Seeds", "numbers are means over seeds, ± their standard deviation."))
    return Sheet(
        title=title,
        header=[*header, "Overlap (%)", "Chance (%)", "Above chance (points)"],
        rows=[_cells(a, b, group) for (a, b), group in pairs.items()],
        notes=notes,
    )


def _cells(a: str, b: str, group: Sequence[dict[str, Any]]) -> list[Cell]:
    counts = [
        Cell(f"{statistics.mean(row[key] for row in group):,.0f}")
        for key in ("first", "second", "shared")
    ]
    percentages = [
        Cell(_mean([row[key] for row in group]))
        for key in ("overlap", "chance_overlap", "above_chance")
    ]
    return [Cell(a), Cell(b), Cell(str(len(group))), *counts, *percentages]


def _mean(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"
