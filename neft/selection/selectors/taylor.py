"""Neurons without which the loss would change most, to first order (Molchanov et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from neft.selection.budgets import Ranking
from neft.selection.selectors.gradient import GradientSpec

if TYPE_CHECKING:
    from neft.core.neurons import Site

READS = frozenset({"gradients"})

STATISTIC = "taylor"


class Spec(GradientSpec):
    """The neurons whose |gradient x weight| is largest over a few batches, summed: what the loss
    changes to first order without them. Needs no probe.
    """

    kind: Literal["taylor"]
    """The plug-in's name."""


def rank(inputs: Mapping[str, Any], sites: Mapping[str, Site], spec: Spec, seed: int) -> Ranking:
    """By summed |gradient · weight|, as `neft.selection.gradients` computes them."""
    return Ranking(inputs["gradients"])
