"""Neuron-level fine-tuning (Xu et al. 2025): only the neurons of a mask are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from neft.errors import NeftError
from neft.training.settings import Method

if TYPE_CHECKING:
    from torch.nn import Module

    from neft.core.delta import Delta
    from neft.core.mask import NeuronMask


class Spec(Method):
    """Neuron-level fine-tuning: only the neurons of a mask are trained."""

    kind: Literal["neft"]
    """The plug-in's name."""
    mask: str
    """A key of `masks`: which neurons."""
    mask_from: str | None = None
    """A key of `datasets`: find the mask's neurons on it, whatever is trained on. Default: the
    dataset that is trained on.
    """
    relative_step: bool = False
    """Multiply each neuron's learning rate by its norm over the mean norm of all that are trained.
    AdamW moves every neuron by about the same length, so that small ones turn more; with this all
    turn alike. Tells apart what is gained by the choice of neurons and what by their rate.
    """


def prepare(model: Module, spec: Spec, mask: NeuronMask | None) -> Module:
    """Freeze everything and make the mask's neurons trainable; changes and returns `model`."""
    from neft.core.layers import attach

    if mask is None:
        raise NeftError("method neft: needs a mask of the neurons to train, got none (--mask)")
    attach(model, mask, relative_step=spec.relative_step)
    return model


def extract(model: Module, base_hash: str) -> Delta:
    """Indices and trained values of the neurons, as a delta over the base with `base_hash`."""
    from neft.core.delta import NeuronDelta

    return NeuronDelta.of(model, base_hash)
