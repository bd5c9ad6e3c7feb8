"""A loaded model and the delta of its tuning: put in, taken out again, or read from disk
together.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from neft import errors
from neft.core import layers
from neft.core.delta import Delta
from neft.errors import NeftError
from neft.models import identity, runtime

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class TunedModel(NamedTuple):
    """A model that is ready to answer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    base_hash: str
    """Of the base model, before the delta."""


def load(
    folder: str | Path,
    delta: str | Path | None,
    precision: str,
    device: torch.device,
    trust_remote_code: bool = False,
) -> TunedModel:
    """Read a base model (all weights in `precision`) from a Hugging Face directory, apply a saved
    delta if there is one, and put it on `device`, to answer and not to train.

    Raises NeftError if a file is damaged or the delta belongs to another model.
    """
    base_hash = identity.base_hash(folder, trust_remote_code)
    model, tokenizer = runtime.load_model(folder, precision, trust_remote_code, device)
    if delta is not None:
        apply(model, Delta.load(delta), base_hash)
    return TunedModel(model, tokenizer, base_hash)


def apply(model: nn.Module, delta: Delta, base_hash: str | None = None) -> Delta:
    """Change a plain model in place to what the delta's run had trained; returns what `revert`
    needs to undo it.

    base_hash: the model's, where it is known; else it is computed. Raises NeftError if the delta
    belongs to another model or a mask is attached to this one.
    """
    if any(layers.attached(model)):
        raise NeftError(
            "apply: this model has a mask attached, whose next step would undo the change; detach"
            " it first"
        )
    delta.check_base(base_hash or identity.base_hash(model), type(model).__name__)
    changes = delta.changes()
    former = {name: _parameter(model, name) for name in changes}
    shapes = {name: tensor.shape for name, tensor in former.items()}
    delta.check_shapes(shapes, type(model).__name__)
    undo = delta.undo(former)
    for name, change in changes.items():
        change(former[name])
    return undo


def revert(model: nn.Module, undo: Delta) -> None:
    """Undo an `apply`: every bit is as before. undo: what `apply` returned."""
    for name, change in undo.changes().items():
        change(_parameter(model, name))


def _parameter(model: nn.Module, name: str) -> Tensor:
    try:
        return model.get_parameter(name).detach()
    except AttributeError as error:
        names = [name for name, _ in model.named_parameters()]
        raise NeftError(
            f"delta: {type(model).__name__}: {errors.unknown_name('parameter', name, names)}"
        ) from error
