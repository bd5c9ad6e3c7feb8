"""How large the gradients of a model's neurons are, without ever holding more than one matrix's
gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from neft import progress
from neft.core.neurons import Site
from neft.data.batches import LengthGrouped
from neft.data.encode import Example, collate
from neft.errors import NeftError
from neft.models import runtime
from neft.training.loss import completion_loss


def sums(
    model: Any,
    examples: Sequence[Example],
    sites: Mapping[str, Site],
    *,
    batches: int,
    batch_size: int,
    seed: int,
    precision: str,
    device: torch.device,
) -> dict[str, Tensor]:
    """Per neuron the absolute gradients of its weights, summed over the weights and over batches:
    float32 [neurons] by key.

    model: float32, moved to `device`; afterwards the weights of the sites are what requires a
    gradient. The batches are the first of a training with this seed, the loss is training's: the
    mean over a batch's answer tokens. Every gradient is reduced and freed as soon as the backward
    pass has it. Raises NeftError if a gradient is not finite.
    """
    weights = {site.module: model.get_submodule(site.module).weight for site in sites.values()}
    model.requires_grad_(False)
    for weight in weights.values():
        weight.requires_grad_(True)
    runtime.store_frozen_weights(model, precision)
    runtime.choose_attention(
        model, precision, device, max(len(example["input_ids"]) for example in examples)
    )
    model.to(device).train()
    totals = {
        key: torch.zeros(site.count, dtype=torch.float64, device=device)
        for key, site in sites.items()
    }

    def reduce(weight: nn.Parameter) -> None:
        gradient = weight.grad
        weight.grad = None
        for key, site in sites.items():
            if weights[site.module] is weight and gradient is not None:
                part = gradient.narrow(site.dim, site.start, site.count).abs()
                totals[key] += part.sum(1 - site.dim, dtype=torch.float64)

    with ExitStack() as stack, progress.bar(batches, "reading gradients", "batch") as bar:
        for weight in {id(weight): weight for weight in weights.values()}.values():
            stack.callback(weight.register_post_accumulate_grad_hook(reduce).remove)
        for batch in _batches(examples, batches, batch_size, seed):
            tensors = {name: tensor.to(device) for name, tensor in collate(batch).items()}
            with runtime.autocast(precision, device):
                loss, count = completion_loss(model, tensors["input_ids"], tensors["labels"])
            torch.autograd.backward(loss / count)
            bar.update(1)
    for key, total in totals.items():
        if not total.isfinite().all():
            raise NeftError(f"{key}: a gradient is NaN or infinite")
    return {key: total.float().cpu() for key, total in totals.items()}


def _batches(
    examples: Sequence[Example], number: int, size: int, seed: int
) -> Iterator[list[Example]]:
    """The first batches of a training, over several epochs if one has too few."""
    order = LengthGrouped([len(example["input_ids"]) for example in examples], size, seed)
    epoch = 0
    while number > 0:
        order.set_epoch(epoch)
        rows = list(order)
        starts = range(0, len(rows), size)[:number]
        yield from ([examples[row] for row in rows[start : start + size]] for start in starts)
        number, epoch = number - len(starts), epoch + 1
