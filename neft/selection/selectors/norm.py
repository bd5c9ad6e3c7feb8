"""Neurons by the length of their weight vectors: what a ranking is worth that has seen no data.

AdamW moves all neurons by nearly the same length, so that short ones turn most: a mask of the
smallest norms is the reference that a selector by direction must beat.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from neft.selection.budgets import MaskSpec, Ranking

if TYPE_CHECKING:
    from neft.core.neurons import Site

READS = frozenset({"weights"})


class Spec(MaskSpec):
    """The neurons whose weight vectors are shortest, or longest (a control). Needs no data."""

    kind: Literal["norm"]
    """The plug-in's name."""
    which: Literal["smallest", "largest"] = "smallest"
    """Which end of the ranking by L2 norm."""


def rank(inputs: Mapping[str, Any], sites: Mapping[str, Site], spec: Spec, seed: int) -> Ranking:
    """By the base model's weights alone."""
    from neft.selection import base_vectors

    sign = -1 if spec.which == "smallest" else 1
    norms = base_vectors.norms(inputs["weights"], sites)
    return Ranking({key: sign * lengths for key, lengths in norms.items()})
