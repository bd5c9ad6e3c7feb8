"""Neurons by chance: what a choice must beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import NonNegativeInt

from neft.selection import MaskSpec, take

if TYPE_CHECKING:
    from torch import Tensor

READS: frozenset[str] = frozenset()


class Spec(MaskSpec):
    """Neurons drawn by chance (a control). Needs no probe."""

    kind: Literal["random"]
    """The plug-in's name."""
    seed: NonNegativeInt | None = None
    """Seed of the draw. Default: the run's seed, so every run has neurons of its own."""


def select(
    scores: Mapping[str, Tensor], sizes: Mapping[str, int], budget: int, spec: Mapping[str, Any], seed: int
) -> dict[str, Tensor]:
    """`budget` neurons drawn without replacement from keys with so many (`sizes`); scores are not looked at."""
    import torch

    own = spec.get("seed")
    generator = torch.Generator().manual_seed(seed if own is None else own)
    # float64: of ten million float32 draws several hundred thousand would be ties, which go to the earlier module.
    drawn = {key: torch.rand(size, generator=generator, dtype=torch.float64) for key, size in sizes.items()}
    return take(drawn, budget, spec.get("scope", "global"))
