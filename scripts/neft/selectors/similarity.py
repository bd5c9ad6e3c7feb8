"""Neurons whose direction moved most: lowest cosine similarity (Xu et al. 2025, eq. 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from neft.selection import MaskSpec, take

if TYPE_CHECKING:
    from torch import Tensor

READS = frozenset({"distances"})


class Spec(MaskSpec):
    """The neurons that a short full fine-tuning turned most."""

    kind: Literal["similarity"]
    """The plug-in's name."""


def select(
    scores: Mapping[str, Tensor], sizes: Mapping[str, int], budget: int, spec: Mapping[str, Any], seed: int
) -> dict[str, Tensor]:
    """The `budget` neurons farthest from where they started.

    scores: per key float32 [neurons], distances of 0 (unmoved) to 2 (reversed). Returns per key ascending int32; ties go to
    the earlier key, then to the lower index.
    """
    return take(scores, budget, spec.get("scope", "global"))
