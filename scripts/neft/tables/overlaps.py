"""A table of overlaps of masks, beside chance, by budget (Xu et al. 2025, Table 6)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from neft.published import TableSpec
from neft.schema import Name

READS = frozenset({"overlaps"})


class Spec(TableSpec):
    """How many neurons masks share: every pair of some `analyses.overlaps`, beside what chance gives."""

    kind: Literal["overlaps"]
    """The kind of table."""
    overlaps: tuple[Name, ...] = Field(min_length=1)
    """Keys of `analyses.overlaps`, in the order of the table."""
