"""How large the gradients of a model's neurons are, without ever holding more than one matrix's
gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from neft import progress
from neft.core.neurons import Site
from neft.data.batches import LengthGrouped
from neft.data.encode import Example, pad
from neft.errors import NeftError
from neft.models import runtime
from neft.training.loss import completion_loss

STATISTICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "absolute": lambda gradient, weight: gradient.abs(),
    # What the loss changes to first order if the weight is set to zero (Molchanov et al. 2019).
    "taylor": lambda gradient, weight: (gradient * weight).abs(),
    # The diagonal of the empirical Fisher information, of batches (Kirkpatrick et al. 2017).
    "fisher": lambda gradient, weight: gradient.square(),
}
"""What is added up of a matrix's gradient and weights, both [out, in]: a number for each weight."""


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
    statistic: str = "absolute",
) -> dict[str, Tensor]:
    """Per neuron a statistic of its weights' gradients, summed over the weights and over batches:
    float32 [neurons] by key.

    model: float32, moved to `device`; afterwards the weights of the sites are what requires a
    gradient. statistic: a key of `STATISTICS`, taken of the gradient of a whole batch. The batches
    are the first of a training with this seed, the loss is training's: the mean over a batch's
    answer tokens. Every gradient is reduced and freed as soon as the backward pass has it. Raises
    NeftError if a gradient is not finite.
    """
    sites_of = _by_weight(model, sites)
    model.requires_grad_(False)
    for weight in sites_of:
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

    with ExitStack() as stack, progress.bar(batches, "reading gradients", "batch") as bar:
        for weight, inside in sites_of.items():
            reduce = partial(_reduce, sites=inside, totals=totals, of=STATISTICS[statistic])
            hook = weight.register_post_accumulate_grad_hook(reduce)  # type: ignore[no-untyped-call]
            stack.callback(hook.remove)
        for batch in _batches(examples, batches, batch_size, seed):
            tensors = {name: tensor.to(device) for name, tensor in pad(batch).items()}
            with runtime.autocast(precision, device):
                loss, count = completion_loss(model, tensors["input_ids"], tensors["labels"])
            torch.autograd.backward(loss / count)
            bar.update(1)
    for key, total in totals.items():
        if not total.isfinite().all():
            raise NeftError(f"{key}: a gradient is NaN or infinite")
    return {key: total.float().cpu() for key, total in totals.items()}


def _by_weight(model: Any, sites: Mapping[str, Site]) -> dict[nn.Parameter, dict[str, Site]]:
    """The sites in each weight; modules that share a weight have it once."""
    found: dict[nn.Parameter, dict[str, Site]] = {}
    for key, site in sites.items():
        found.setdefault(model.get_submodule(site.module).weight, {})[key] = site
    return found


@torch.no_grad()
def _reduce(
    weight: nn.Parameter,
    sites: Mapping[str, Site],
    totals: Mapping[str, Tensor],
    of: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """Add a statistic of a weight's gradient to the totals of the sites in it; free the gradient."""
    gradient, weight.grad = weight.grad, None
    if gradient is None:
        return
    for key, site in sites.items():
        part, weights = (x.narrow(site.dim, site.start, site.count) for x in (gradient, weight))
        totals[key].add_(of(part, weights).sum(1 - site.dim, dtype=torch.float64))


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
