"""Neurons of several masks together: a model for many tasks or languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from neft.schema import Strict

if TYPE_CHECKING:
    from neft.mask import NeuronMask

READS = frozenset({"masks"})


class Spec(Strict):
    """Every neuron that is in any of some other masks."""

    kind: Literal["union"]
    """The plug-in's name."""
    of: tuple[str, ...] = Field(min_length=1)
    """Keys of `masks`."""


def combine(masks: list[NeuronMask], spec: Mapping[str, Any]) -> NeuronMask:
    """The mask that holds the neurons of all masks; a neuron that several hold counts once."""
    from neft.mask import union

    return union(masks, dict(spec))
