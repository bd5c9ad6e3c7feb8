"""Neurons that the task turns more than training on anything does: distance over distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from neft.selection.budgets import ProbedSpec, Ranking

if TYPE_CHECKING:
    from neft.core.neurons import Site

READS = frozenset({"distances", "references"})


class Spec(ProbedSpec):
    """The neurons that the task's probe turned most for what a control's turned them: what the task
    alone moves.
    """

    kind: Literal["contrast"]
    """The plug-in's name."""
    probe: Literal["task"] = "task"
    """The probe whose distances are divided: the task's."""
    against: Literal["noise", "shuffled"] = "noise"
    """The probe by whose distances they are divided: on random tokens, or on shuffled answers."""


def rank(inputs: Mapping[str, Any], sites: Mapping[str, Site], spec: Spec, seed: int) -> Ranking:
    """By (1 - cos) of the task's probe over that of the control. A neuron that no probe moved comes
    last, one that only the task moved first.
    """
    import torch

    tiny = torch.finfo(torch.float32).tiny
    return Ranking(
        {
            key: distances / inputs["references"][key].clamp(min=tiny)
            for key, distances in inputs["distances"].items()
        }
    )
