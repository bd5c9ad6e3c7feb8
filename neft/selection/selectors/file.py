"""A mask from elsewhere: from another experiment, another machine, or of your own making."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from neft.schema import Strict

if TYPE_CHECKING:
    from neft.core.mask import NeuronMask

READS = frozenset({"masks"})


class Spec(Strict):
    """A mask file that is there already; it must be of the same base model."""

    kind: Literal["file"]
    """The plug-in's name."""
    path: str
    """The mask, a file as `NeuronMask.save` writes it."""


def combine(inputs: Mapping[str, Any], spec: Spec, seed: int) -> NeuronMask:
    """The one mask as it is, with how it was chosen kept under `of`."""
    mask: NeuronMask = inputs["masks"][0]
    return replace(mask, selector={"kind": spec.kind, "of": mask.selector})
