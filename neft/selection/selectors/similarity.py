"""Neurons whose direction moved most: lowest cosine similarity (Xu et al. 2025, eq. 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from neft.selection.budgets import ProbedSpec, Ranking

if TYPE_CHECKING:
    from neft.core.neurons import Site

READS = frozenset({"distances"})


class Spec(ProbedSpec):
    """The neurons that a short full fine-tuning turned most."""

    kind: Literal["similarity"]
    """The plug-in's name."""


def rank(inputs: Mapping[str, Any], sites: Mapping[str, Site], spec: Spec, seed: int) -> Ranking:
    """By distance from where they started: 1 − cos, 0 (unmoved) to 2 (reversed)."""
    return Ranking(inputs["distances"])
