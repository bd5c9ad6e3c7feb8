"""Neurons that moved most: largest norm of the change, whatever its direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from neft.selection.budgets import ProbedSpec, Ranking

if TYPE_CHECKING:
    from neft.core.neurons import Site

READS = frozenset({"norms"})


class Spec(ProbedSpec):
    """The neurons that a short full fine-tuning changed most: largest norm of the difference."""

    kind: Literal["magnitude"]
    """The plug-in's name."""


def rank(inputs: Mapping[str, Any], sites: Mapping[str, Site], spec: Spec, seed: int) -> Ranking:
    """By the norm of what the probe added."""
    return Ranking(inputs["norms"])
