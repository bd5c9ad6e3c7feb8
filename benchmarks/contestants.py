"""The ways to fine-tune that are compared: each makes a model ready, knows its step and what it
leaves on disk.

All of them train with the project's loss, number format and (fused) AdamW; only what is trained
differs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neft import plugins
from neft.core import neurons
from neft.core.delta import LoraDelta, NeuronDelta, TensorDelta
from neft.core.mask import NeuronMask
from neft.models import runtime
from neft.training.loss import completion_loss

NAMES = ("limit", "neft", "lora", "shira", "in_out", "full", "masked")
OF_ANY_SIZE = ("limit", "in_out", "full")
"""These train the same whatever the fraction, so they are measured once a model."""
MODULES = ("up_proj", "down_proj")
# the contestants of one process share the frozen weights: small steps keep the numbers those of a
# model
RATE = 1e-6


class Contestant:
    """A model that trains in one way. `fraction`: of all parameters, for the ways that choose how
    many.
    """

    def __init__(
        self,
        name: str,
        base: nn.Module,
        fraction: float,
        precision: str,
        device: torch.device,
        tokens: int,
    ) -> None:
        """Prepare a copy of `base` that shares its weights' memory as far as they are neither
        trained nor converted.
        """
        shared = {id(p): nn.Parameter(p.data, requires_grad=False) for p in base.parameters()}
        self.name, self.precision, self.device = name, precision, device
        self.after_backward: Callable[[], None] = lambda: None
        self.model: Any = getattr(self, f"_{name}")(copy.deepcopy(base, shared), fraction)
        self.trainable = [p for p in self.model.parameters() if p.requires_grad]
        runtime.store_frozen_weights(self.model, precision)
        runtime.choose_attention(self.model, precision, device, tokens)
        self.model.to(device).train()
        self.optimizer = (
            torch.optim.AdamW(self.trainable, lr=RATE, weight_decay=0.0, fused=True)
            if self.trainable
            else None
        )

    def step(self, input_ids: Tensor, labels: Tensor) -> None:
        """Forward, backward, optimizer; gradients stay until `clear`."""
        with runtime.autocast(self.precision, self.device):
            loss, count = completion_loss(self.model, input_ids, labels)
        (loss / count).backward()  # type: ignore[no-untyped-call]
        self.after_backward()
        if self.optimizer:
            self.optimizer.step()

    def clear(self) -> None:
        """Let go of the gradients."""
        self.model.zero_grad(set_to_none=True)

    @property
    def parameters(self) -> int:
        """Numbers that the method means to change."""
        selected: int | None = getattr(self, "selected", None)
        return selected or sum(p.numel() for p in self.trainable)

    def state_bytes(self) -> int:
        """Bytes of trained values, their gradients, the optimizer's state and what says which they
        are; after a step.
        """
        states = self.optimizer.state.values() if self.optimizer else ()
        tensors = [*self.trainable, *(p.grad for p in self.trainable if p.grad is not None)]
        tensors += [
            value for state in states for value in state.values() if isinstance(value, Tensor)
        ]
        tensors += [
            buffer for name, buffer in self.model.named_buffers() if name.endswith("_index")
        ]
        tensors += list(getattr(self, "masks", {}).values())
        tensors += [
            i for m in self.model.modules() for i in getattr(m, "shira_indices", {}).values()
        ]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def disk_bytes(self, folder: Path) -> int:
        """Bytes of the result as a run of the project would keep it, in bfloat16."""
        if not self.trainable:
            return 0
        file = folder / "delta.safetensors"
        if self.name == "shira":
            self.model.save_pretrained(folder)
            return (folder / "adapter_model.safetensors").stat().st_size
        kind: Any = {"neft": NeuronDelta, "lora": LoraDelta}.get(self.name, TensorDelta)
        kind.of(self.model, "0" * 64).save(file, torch.bfloat16)
        return file.stat().st_size

    def _limit(self, model: Any, fraction: float) -> Any:
        """Nothing is trained, but gradients flow to the input embeddings: what any method that
        reaches them must pay.
        """
        model.get_input_embeddings().register_forward_hook(
            lambda module, args, out: out.requires_grad_(True)
        )
        return model

    def _neft(self, model: Any, fraction: float) -> Any:
        return _prepared(model, _mask(model, fraction), {"kind": "neft", "mask": "random"})

    def _lora(self, model: Any, fraction: float) -> Any:
        return _prepared(model, None, {"kind": "lora", "rank": _rank(model, fraction)})

    def _shira(self, model: Any, fraction: float) -> Any:
        """Scattered single weights (Bhardwaj et al. 2024) by PEFT."""
        from peft import ShiraConfig, get_peft_model

        config = ShiraConfig(
            r=_rank(model, fraction),
            target_modules="all-linear",
            random_seed=0,
            task_type="CAUSAL_LM",
        )
        return get_peft_model(model, config)

    def _in_out(self, model: Any, fraction: float) -> Any:
        return _prepared(model, None, {"kind": "in_out"})

    def _full(self, model: Any, fraction: float) -> Any:
        return _prepared(model, None, {"kind": "full"})

    def _masked(self, model: Any, fraction: float) -> Any:
        """The published recipe: gradients and AdamW of everything, the gradients multiplied by
        masks of 0 and 1.
        """
        mask = _mask(model, fraction)
        self.selected = mask.parameters
        self.masks: dict[str, Tensor] = {}
        for key, index in mask.indices.items():
            weight = model.get_submodule(key).weight
            chosen = index.long().to(weight.device)
            self.masks[f"{key}.weight"] = torch.zeros_like(weight).index_fill_(
                mask.sites[key].dim, chosen, 1
            )
        parameters = dict(model.requires_grad_(True).named_parameters())
        self.masks = {name: values.to(self.device) for name, values in self.masks.items()}

        def mask_gradients() -> None:
            for name, parameter in parameters.items():
                if name in self.masks:
                    parameter.grad.mul_(self.masks[name])
                else:
                    parameter.grad.zero_()

        self.after_backward = mask_gradients
        return model


def _prepared(model: Any, mask: NeuronMask | None, method: dict[str, Any]) -> Any:
    """A model made ready by a method of the project."""
    spec = plugins.settings("methods", {"learning_rate": RATE, **method})
    return plugins.load("methods", spec.kind).prepare(model, spec, mask)


def _mask(model: nn.Module, fraction: float) -> NeuronMask:
    """So many neurons of all up and down projections, drawn by chance; what is chosen does not
    change the cost.
    """
    sites = neurons.find(model, MODULES)
    length = next(iter(sites.values())).length
    total = sum(site.count for site in sites.values())
    budget = round(fraction * sum(p.numel() for p in model.parameters()) / length)
    chosen = torch.zeros(total, dtype=torch.bool)
    chosen[torch.randperm(total, generator=torch.Generator().manual_seed(0))[:budget]] = True
    parts = torch.split(chosen, [site.count for site in sites.values()])
    return NeuronMask.from_indices(
        {key: part.nonzero() for key, part in zip(sites, parts, strict=True)}, model
    )


def _rank(model: nn.Module, fraction: float) -> int:
    """The rank at which adapters of all linear layers have this fraction of the model's
    parameters.
    """
    head = model.get_output_embeddings()  # type: ignore[operator]
    linear = [m for m in model.modules() if isinstance(m, nn.Linear) and m is not head]
    per_rank = sum(m.in_features + m.out_features for m in linear)
    return max(1, round(fraction * sum(p.numel() for p in model.parameters()) / per_rank))
