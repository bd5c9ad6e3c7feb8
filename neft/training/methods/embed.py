"""Only the input embedding is trained.

Where a model ties its output head to the embedding (one tensor, two uses) the head moves along:
"embed" then trains what the model reads *and* how it writes. The delta holds that one tensor, and
applying it keeps the tie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from neft.training.settings import Method

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from neft.core.delta import Delta
    from neft.core.mask import NeuronMask


class Spec(Method):
    """Only the input embedding is trained; a model that ties its head to the embedding trains both
    as one tensor.
    """

    kind: Literal["embed"]
    """The plug-in's name."""


def prepare(model: PreTrainedModel, spec: Spec, mask: NeuronMask | None) -> PreTrainedModel:
    """Freeze all but the input embedding; changes and returns `model`."""
    model.requires_grad_(False)
    model.get_input_embeddings().requires_grad_(True)
    return model


def extract(model: PreTrainedModel, base_hash: str) -> Delta:
    """The embedding [vocabulary, hidden], as a delta over the base with `base_hash`."""
    from neft.core.delta import TensorDelta

    return TensorDelta.of(model, base_hash)
