"""Neurons whose direction moved least: highest cosine similarity. The paper's control, which should
tune badly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from neft.selection.budgets import ProbedSpec, Ranking

if TYPE_CHECKING:
    from neft.core.neurons import Site

READS = frozenset({"distances"})


class Spec(ProbedSpec):
    """The neurons that a short full fine-tuning turned least (a control)."""

    kind: Literal["reversed"]
    """The plug-in's name."""


def rank(inputs: Mapping[str, Any], sites: Mapping[str, Site], spec: Spec, seed: int) -> Ranking:
    """By nearness to where they started; distances as for `similarity`."""
    return Ranking({key: -distances for key, distances in inputs["distances"].items()})
