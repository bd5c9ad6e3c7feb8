"""A table of scores: what the methods of some experiments reach on their test sets (Xu et al. 2025, Tables 1 to 5)."""

from __future__ import annotations

from typing import Literal

from neft.published import TableSpec

READS = frozenset({"runs"})


class Spec(TableSpec):
    """Scores of all methods of the experiments that name the table, on each of their test sets."""

    kind: Literal["scores"]
    """The kind of table."""
