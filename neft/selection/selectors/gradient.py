"""Neurons with the largest gradients at the start: no full fine-tuning is needed to find them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from neft.selection.budgets import MaskSpec, Ranking

if TYPE_CHECKING:
    from neft.core.neurons import Site

READS = frozenset({"gradients"})


STATISTIC = "absolute"


class GradientSpec(MaskSpec):
    """The base of the `Spec` of a selector that looks at the first gradients. Needs no probe."""

    batches: PositiveInt = 8
    """Batches of training rows; a batch has `training.batch_size` rows, or `micro_batch_size` where
    that is given.
    """


class Spec(GradientSpec):
    """The neurons whose gradient is largest over a few batches: its absolute values, summed. Needs
    no probe.
    """

    kind: Literal["gradient"]
    """The plug-in's name."""


def rank(inputs: Mapping[str, Any], sites: Mapping[str, Site], spec: Spec, seed: int) -> Ranking:
    """By summed |gradient|, as `neft.selection.gradients` computes it."""
    return Ranking(inputs["gradients"])
