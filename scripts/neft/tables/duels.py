"""A table of duels: every method of one list against every method of another (Xu et al. 2025, Table 7)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from neft.published import TableSpec
from neft.schema import Name

READS = frozenset({"runs", "pairs"})


class Spec(TableSpec):
    """Every method of `rows` against every one of `columns`, on each test set of the experiments that name the table."""

    kind: Literal["duels"]
    """The kind of table."""
    rows: tuple[Name, ...] = Field(min_length=1)
    """Keys of `methods` (LoRA of several ranks, say)."""
    columns: tuple[Name, ...] = Field(min_length=1)
    """Keys of `methods` (NeFT of several budgets, say): whose wins are counted."""
