"""Neurons of the largest empirical Fisher information (Kirkpatrick et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from neft.selection.budgets import Ranking
from neft.selection.selectors.gradient import GradientSpec

if TYPE_CHECKING:
    from neft.core.neurons import Site

READS = frozenset({"gradients"})

STATISTIC = "fisher"


class Spec(GradientSpec):
    """The neurons whose squared gradients are largest over a few batches, summed: the diagonal of the
    empirical Fisher information of batches. Needs no probe.
    """

    kind: Literal["fisher"]
    """The plug-in's name."""


def rank(inputs: Mapping[str, Any], sites: Mapping[str, Site], spec: Spec, seed: int) -> Ranking:
    """By summed squared gradients, as `neft.selection.gradients` computes them."""
    return Ranking(inputs["gradients"])
