"""Neurons whose direction moved least: highest cosine similarity. The paper's control, which should tune badly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from neft.selection import MaskSpec, take

if TYPE_CHECKING:
    from torch import Tensor

READS = frozenset({"distances"})


class Spec(MaskSpec):
    """The neurons that a short full fine-tuning turned least (a control)."""

    kind: Literal["reversed"]
    """The plug-in's name."""


def select(
    scores: Mapping[str, Tensor], sizes: Mapping[str, int], budget: int, spec: Mapping[str, Any], seed: int
) -> dict[str, Tensor]:
    """The `budget` neurons nearest to where they started; scores, result and ties as for `similarity`."""
    return take(scores, budget, spec.get("scope", "global"), largest=False)
