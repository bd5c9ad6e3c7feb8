"""Neurons that answer most strongly to a data set, or to it more than to others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from neft.schema import Name
from neft.selection.budgets import MaskSpec, Ranking

if TYPE_CHECKING:
    from neft.core.neurons import Site

READS = frozenset({"activations"})


class Spec(MaskSpec):
    """The neurons whose mean |activation| on the train rows is largest; with other `datasets` those
    that are most one data set's own. Needs no probe.
    """

    kind: Literal["activation"]
    """The plug-in's name."""
    datasets: tuple[Name, ...] = ()
    """Keys of `datasets` whose train rows the activations are compared with, by the entropy of their
    shares: lowest first. As in language activation probability entropy (Tang et al. 2024), with the
    mean |activation| in place of the probability of a positive one, which not every layer has.
    """


def rank(inputs: Mapping[str, Any], sites: Mapping[str, Site], spec: Spec, seed: int) -> Ranking:
    """By the mean |activation| (`neft.selection.activations`), or by how uneven its shares are over
    the data sets. A neuron that is silent on all of them comes last.
    """
    import torch

    own, *others = inputs["activations"]
    if not others:
        return Ranking(own)
    scores = {}
    for key in own:
        found = torch.stack([own[key], *(one[key] for one in others)]).double()
        total = found.sum(0)
        shares = found / total.clamp(min=torch.finfo(torch.float64).tiny)
        entropy = -torch.special.xlogy(shares, shares).sum(0)
        scores[key] = torch.where(total > 0, -entropy, -torch.inf)
    return Ranking(scores)
