"""Neurons by chance: what a choice must beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from neft.selection.budgets import MaskSpec, Ranking

if TYPE_CHECKING:
    from neft.core.neurons import Site

READS: frozenset[str] = frozenset()


class Spec(MaskSpec):
    """Neurons drawn by chance (a control). Needs no probe."""

    kind: Literal["random"]
    """The plug-in's name."""


def rank(inputs: Mapping[str, Any], sites: Mapping[str, Site], spec: Spec, seed: int) -> Ranking:
    """By numbers drawn for each."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    # float64: of ten million float32 draws several hundred thousand would be ties, which go to the
    # earlier module.
    return Ranking(
        {
            key: torch.rand(s.count, generator=generator, dtype=torch.float64)
            for key, s in sites.items()
        }
    )
