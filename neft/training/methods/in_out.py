"""The MLP's way in and out: the whole up and down projections are trained (the paper's
FT-{in|out}).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from neft.errors import NeftError
from neft.training.settings import Method

if TYPE_CHECKING:
    from torch.nn import Module

    from neft.core.delta import Delta
    from neft.core.mask import NeuronMask


class Spec(Method):
    """The whole up and down projections of every layer are trained; models that call them otherwise
    (GPT-2, Phi) as well.
    """

    kind: Literal["in_out"]
    """The plug-in's name."""


def prepare(model: Module, spec: Spec, mask: NeuronMask | None) -> Module:
    """Freeze all but the weights of the up and down projections; changes and returns `model`.

    Raises NeftError for a model that keeps the up projection in one matrix with the gate (Phi-3).
    """
    from neft.core import neurons

    model.requires_grad_(False)
    for site in neurons.find(model, modules=("up_proj", "down_proj")).values():
        weight = model.get_submodule(site.module).get_parameter("weight")
        if site.count * site.length != weight.numel():
            raise NeftError(
                f"method in_out: {site.module} holds {site.kind} and more in one matrix; "
                "use method neft with a mask of all its neurons"
            )
        weight.requires_grad_(True)
    return model


def extract(model: Module, base_hash: str) -> Delta:
    """The up and down projections, as a delta over the base with `base_hash`."""
    from neft.core.delta import TensorDelta

    return TensorDelta.of(model, base_hash)
