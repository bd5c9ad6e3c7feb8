"""Pairs of two languages that meet in a third: French to Chinese from English to French and English
to Chinese.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from neft import plugins
from neft.schema import Strict

FETCHES = None
PARTS = ("left", "right")
GIVES = 2
KEYS = ("pivot", "context")

if TYPE_CHECKING:  # a checker can't know which plug-ins there are
    Part = Any
else:
    Part = plugins.spec_type("sources", without=("pairs", "pivot"))


class Spec(Strict):
    """Two sources joined where the text between them is the same: `left` gives what the model
    reads, `right` the answer.
    """

    kind: Literal["pivot"]
    """Two data sources joined by a column that both have."""
    left: Part
    """Gives what the model reads. Its `columns` name `pivot` (what must be equal, letter for
    letter) and `text`; and, if both sources have one, `context`, which must then be equal too.
    """
    right: Part
    """Gives the answer, with the same columns."""

    @model_validator(mode="after")
    def _alike(self) -> Spec:
        if ("context" in self.left.columns) != ("context" in self.right.columns):
            raise ValueError(
                "`columns` of `left` and `right` must either both name `context` or neither"
            )
        return self


def part_fields(spec: Spec) -> tuple[str, ...]:
    """What is asked of each part."""
    return ("pivot", "context", "text") if "context" in spec.left.columns else ("pivot", "text")


def join(
    spec: Spec, parts: Sequence[Iterable[dict[str, str]]], fields: Sequence[str]
) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Records of a task's two fields, in the order of the left part; counts by part: {read, empty,
    duplicate, unmatched}.

    Rows without pivot or text are left out. Of several rows with the same pivot and context the
    first counts.
    """
    keys = [field for field in KEYS if field in part_fields(spec)]
    texts, counts = zip(*(_by_pivot(rows, keys) for rows in parts), strict=True)
    left, right = texts
    common = [key for key in left if key in right]
    for part, count in zip(texts, counts, strict=True):
        count["unmatched"] = len(part) - len(common)
    return [dict(zip(fields, (left[key], right[key]), strict=True)) for key in common], dict(
        zip(PARTS, counts, strict=True)
    )


def _by_pivot(
    rows: Iterable[dict[str, str]], keys: Sequence[str]
) -> tuple[dict[tuple[str, ...], str], dict[str, int]]:
    texts: dict[tuple[str, ...], str] = {}
    counts = {"read": 0, "empty": 0, "duplicate": 0}
    for row in rows:
        counts["read"] += 1
        key = tuple(row[name] for name in keys)
        if not row["pivot"].strip() or not row["text"].strip():
            counts["empty"] += 1
        elif key in texts:
            counts["duplicate"] += 1
        else:
            texts[key] = row["text"]
    return texts, counts
