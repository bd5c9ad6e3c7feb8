"""Full fine-tuning: every parameter is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from neft.training.settings import Method

if TYPE_CHECKING:
    from torch.nn import Module

    from neft.core.delta import Delta
    from neft.core.mask import NeuronMask


class Spec(Method):
    """Full fine-tuning: every parameter is trained."""

    kind: Literal["full"]
    """The plug-in's name."""


def prepare(model: Module, spec: Spec, mask: NeuronMask | None) -> Module:
    """Unfreeze everything; changes and returns `model`."""
    return model.requires_grad_(True)


def extract(model: Module, base_hash: str) -> Delta:
    """All tensors of the trained model, as a delta over the base with `base_hash`."""
    from neft.core.delta import TensorDelta

    return TensorDelta.of(model, base_hash)
