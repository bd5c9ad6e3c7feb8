"""The overlap of pairs of masks as a table (Xu et al., COLING 2025, Table 6), beside what it would
be without the task.

AdamW moves every neuron by nearly the same length, so a probe on anything turns short neurons most,
and where a module's neurons are short its mask is dense. Two masks of a model therefore share far
more than random ones, whatever they were made from. What says something is the overlap above three
references: masks with the same counts by module and norm, the neurons of smallest norm, and a probe
on noise.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from neft.core import mask
from neft.core.mask import NeuronMask
from neft.errors import NeftError
from neft.reporting.typeset import Cell, Sheet
from neft.selection.base_vectors import DECILES


def measure(
    first: NeuronMask,
    second: NeuronMask,
    tenths: Mapping[str, Tensor],
    references: Mapping[str, NeuronMask] | None = None,
) -> dict[str, Any]:
    """Sizes and overlap of two masks of one base model.

    tenths: by module the tenth of its norms in which each neuron is, int64 [neurons]
    (`base_vectors.deciles`). first, second, offered and shared are neurons; all else is percent of
    the smaller mask (the publication's are of equal size):

    overlap     what they share
    random      what two masks of their sizes share if each is drawn at random
    chance      the same for masks with their counts in every tenth of every module
    references  as text, of each the larger of what the two share with it, of the smaller of both
    reference   the largest of these, None without references
    above       overlap less the larger of chance and reference, in percentage points

    Raises NeftError if a mask is empty or they are of different models.
    """
    found = mask.overlap(first, second)
    smaller = min(found.first, found.second)
    if not smaller:
        raise NeftError("overlap: a mask without neurons shares none with any other")
    beside = {
        name: max(_percent(one, reference) for one in (first, second))
        for name, reference in (references or {}).items()
    }
    share = 100 * found.shared / smaller
    chance = 100 * _by_tenths(first, second, tenths) / smaller
    return {
        "first": found.first,
        "second": found.second,
        "offered": found.offered,
        "shared": found.shared,
        "overlap": share,
        "random": 100 * found.chance / smaller,
        "chance": chance,
        "references": "; ".join(f"{name} {value:.1f}" for name, value in beside.items()),
        "reference": max(beside.values(), default=None),
        "above": share - max([chance, *beside.values()]),
    }


def _percent(one: NeuronMask, other: NeuronMask) -> float:
    found = mask.overlap(one, other)
    return 100 * found.shared / max(1, min(found.first, found.second))


def _by_tenths(first: NeuronMask, second: NeuronMask, tenths: Mapping[str, Tensor]) -> float:
    """The mean number of neurons that two masks share which are drawn at random with these masks'
    counts in every tenth of every module: Σ a · b / n.
    """
    total = 0.0
    for key in first.indices.keys() & second.indices.keys():
        n = tenths[key].bincount(minlength=DECILES).clamp(min=1)
        a, b = (
            tenths[key][one.indices[key].long()].bincount(minlength=DECILES)
            for one in (first, second)
        )
        total += float((a * b / n).sum())
    return total


def sheet(title: str, rows: Sequence[dict[str, Any]]) -> Sheet:
    """One row a pair, in their order: means over its seeds. rows: {a, b, seed} and what `measure`
    returned.
    """
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        pairs.setdefault((row["a"], row["b"]), []).append(row)
    beside = any(row["references"] for row in rows)
    notes = [
        ("Overlap", "shared neurons in percent of the smaller mask."),
        ("Random", "the same on average for masks of these sizes that are drawn at random."),
        (
            "Chance",
            (
                "the same for random masks that have as many neurons of every module, and in it of"
                " every tenth of the norms."
            ),
        ),
        (
            "Reference",
            (
                "of masks that know nothing of the task the most that either of the two shares with"
                f" one ({_named(rows)})."
            ),
        ),
        ("Above", "overlap less the larger of chance and reference, in percentage points."),
    ]
    if not beside:
        del notes[3]
    if any(len(group) > 1 for group in pairs.values()):
        notes.append(("Seeds", "numbers are means over seeds, ± their standard deviation."))
    header = ["First", "Second", "Seeds", "First (neurons)", "Second (neurons)", "Shared (neurons)"]
    header += ["Overlap (%)", "Random (%)", "Chance (%)"]
    header += ["Reference (%)"] if beside else []
    return Sheet(
        title=title,
        header=[*header, "Above (points)"],
        rows=[_cells(a, b, group, beside) for (a, b), group in pairs.items()],
        notes=notes,
    )


def _named(rows: Sequence[dict[str, Any]]) -> str:
    """Names of all references."""
    each = (one for row in rows for one in row["references"].split("; ") if one)
    return ", ".join(dict.fromkeys(one.rpartition(" ")[0] for one in each))


def _cells(a: str, b: str, group: Sequence[dict[str, Any]], beside: bool) -> list[Cell]:
    counts = [
        Cell(f"{statistics.mean(row[key] for row in group):,.0f}")
        for key in ("first", "second", "shared")
    ]
    columns = ["overlap", "random", "chance", *(["reference"] if beside else []), "above"]
    percentages = [
        Cell("–" if group[0][key] is None else _mean([row[key] for row in group]))
        for key in columns
    ]
    return [Cell(a), Cell(b), Cell(str(len(group))), *counts, *percentages]


def _mean(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"
