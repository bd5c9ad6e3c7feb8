"""LoRA (Hu et al. 2022) by the PEFT library: a trained low-rank product beside frozen linear
layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from neft.training.settings import Method

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from neft.core.delta import Delta
    from neft.core.mask import NeuronMask


class Spec(Method):
    """LoRA: a trained low-rank product B·A, scaled by alpha / rank, beside frozen linear layers."""

    kind: Literal["lora"]
    """The plug-in's name."""
    rank: PositiveInt
    """Rank of the product: parameters grow with it in proportion."""
    alpha: PositiveFloat | None = None
    """Scale of the product times `rank`. Default: 2 x rank, so a scale of 2."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the layer's inputs that the product does not see in a step."""
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    """Linear layers that get a product: all but the output head, or those whose names end so
    (`q_proj`, `down_proj`, …).
    """


def prepare(model: PreTrainedModel, spec: Spec, mask: NeuronMask | None) -> PeftModel:
    """Freeze `model` and wrap it with adapters (B zero, A drawn from torch's global generator: seed
    it before).
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=spec.rank,
        lora_alpha=spec.alpha if spec.alpha is not None else 2 * spec.rank,  # type: ignore[arg-type]
        lora_dropout=spec.dropout,
        target_modules="all-linear" if spec.targets == "all-linear" else list(spec.targets),
    )
    return get_peft_model(model, config)


def extract(model: PeftModel, base_hash: str) -> Delta:
    """The adapter in PEFT's own layout, as a delta over the base with `base_hash`."""
    from neft.core.delta import LoraDelta

    return LoraDelta.of(model, base_hash)
