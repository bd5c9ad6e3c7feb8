"""A task of judgement made of a translation source: is the second text a translation of the first?

Half of the texts keep their own translation, the other half gets that of another text. In its form
this is natural language inference (two texts, a label), and its sentences are real; but it is a
task of its own, far easier, and no stand-in for XNLI.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from neft import plugins
from neft.schema import Strict

FETCHES = None
PARTS = ("of",)
GIVES = 3
FIELDS = ("first", "second")

if TYPE_CHECKING:  # a checker can't know which plug-ins there are
    Part = Any
else:
    Part = plugins.spec_type("sources", without=("pairs", "pivot"))


class Spec(Strict):
    """Pairs of texts that are translations of each other, or not, from a source of translations."""

    kind: Literal["pairs"]
    """Matching and mismatched pairs of a translation source, with a label."""
    of: Part
    """The translations: its `columns` name `first` and `second`."""
    same: str = "yes"
    """The label of a text and its translation."""
    other: str = "no"
    """The label of a text and the translation of another one."""
    seed: int = 1
    """Decides which texts get the translation of another, and of which."""

    @model_validator(mode="after")
    def _different(self) -> Spec:
        if self.same == self.other:
            raise ValueError(
                f"`same` and `other` must be different labels, got {self.same!r} for both"
            )
        return self


def part_fields(spec: Spec) -> tuple[str, ...]:
    """What is asked of the part."""
    return FIELDS


def join(
    spec: Spec, parts: Sequence[Iterable[dict[str, str]]], fields: Sequence[str]
) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Records of a task's three fields (first text, second text, label), and counts {read, empty,
    duplicate, same, other}.

    Every text and every translation occurs once, so that nothing but the pair tells the label:
    texts in an order that depends on the seed alone, the first half with their own translations,
    each of the second half with that of the next in it.
    """
    counts, unique = {"read": 0, "empty": 0, "duplicate": 0}, {}
    seen: set[str] = set()
    for row in parts[0]:
        counts["read"] += 1
        if not all(row[field].strip() for field in FIELDS):
            counts["empty"] += 1
        elif row["first"] in unique or row["second"] in seen:
            counts["duplicate"] += 1
        else:
            unique[row["first"]] = row["second"]
            seen.add(row["second"])
    ordered = sorted(
        unique.items(),
        key=lambda pair: hashlib.sha256(f"{spec.seed}\n{pair[0]}".encode()).hexdigest(),
    )
    half = (len(ordered) + 1) // 2
    if len(ordered) - half < 2:  # there is no other text to take a translation from
        half = len(ordered)
    same, rest = ordered[:half], ordered[half:]
    moved = [second for _, second in [*rest[1:], *rest[:1]]]
    records = [(first, second, spec.same) for first, second in same]
    records += [(first, second, spec.other) for (first, _), second in zip(rest, moved, strict=True)]
    found = [dict(zip(fields, record, strict=True)) for record in records]
    return found, {"of": counts, "labels": {spec.same: len(same), spec.other: len(rest)}}
