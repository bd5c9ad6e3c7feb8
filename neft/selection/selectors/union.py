"""Neurons of several masks together: a model for many tasks or languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from neft.schema import Strict

if TYPE_CHECKING:
    from neft.core.mask import NeuronMask

READS = frozenset({"masks"})


class MaskOf(Strict):
    """A mask that is found on a dataset of its own."""

    mask: str
    """A key of `masks`."""
    dataset: str
    """A key of `datasets`: its train and dev splits find the neurons."""


class Spec(Strict):
    """Every neuron that is in any of some other masks."""

    kind: Literal["union"]
    """The plug-in's name."""
    of: tuple[str | MaskOf, ...] = Field(min_length=1)
    """Keys of `masks`; with `{mask: …, dataset: …}` a mask that was found on another dataset than
    the union's own.
    """
    refill: bool = False
    """Top up to the sum of the parts' budgets: they take one more neuron each in turn, until those
    that several of them have are made up for. Needs parts that rank neurons, so neither `file` nor
    `union`.
    """


def combine(inputs: Mapping[str, Any], spec: Spec, seed: int) -> NeuronMask:
    """The mask that holds the neurons of all masks; a neuron that several hold counts once."""
    from neft.core.mask import union

    return union(inputs["masks"], spec.model_dump(mode="json"))
