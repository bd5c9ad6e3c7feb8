"""How strongly a model's neurons answer to text: the mean of their absolute activations.

The activation of a neuron that is a row of a matrix is its output, before any nonlinearity; of one
that is a column, the input by which it is multiplied: for `down_proj` that is act(gate) · up, what
is commonly called the activation of an MLP's neuron.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from neft import progress
from neft.core.neurons import Site
from neft.data.encode import Example, pad

TOKENS_AT_ONCE = 4096
"""Tokens of a batch, padding included."""


@torch.inference_mode()
def means(model: Any, examples: Sequence[Example], sites: Mapping[str, Site]) -> dict[str, Tensor]:
    """The mean |activation| of every neuron over all tokens of the rows, by key: float32 [neurons].

    model: a Hugging Face causal language model, on its device. The answer is read with the prompt,
    as in training.
    """
    totals = {
        key: torch.zeros(site.count, dtype=torch.float64, device=model.device)
        for key, site in sites.items()
    }
    inside: dict[nn.Module, dict[str, Site]] = {}
    for key, site in sites.items():
        inside.setdefault(model.get_submodule(site.module), {})[key] = site
    real = torch.empty(0, dtype=torch.bool, device=model.device)  # [rows, width] of this batch

    def add(states: Tensor, dim: int, found: Mapping[str, Site]) -> None:
        for key, site in found.items():
            if site.dim == dim:
                part = states[real].narrow(1, site.start, site.count)
                totals[key] += part.abs().sum(0, dtype=torch.float64)

    def read(module: nn.Module, args: Any, output: Tensor, found: Mapping[str, Site]) -> None:
        add(args[0], 1, found)
        add(output, 0, found)

    order = sorted(examples, key=lambda one: -len(one["input_ids"]))
    with ExitStack() as stack, progress.bar(len(order), "reading activations", "row") as bar:
        for module, found in inside.items():
            stack.callback(module.register_forward_hook(partial(read, found=found)).remove)
        while order:
            rows = max(1, TOKENS_AT_ONCE // len(order[0]["input_ids"]))
            batch, order = order[:rows], order[rows:]
            padded = pad(batch)
            width = padded["input_ids"].shape[1]
            real = (torch.arange(width) < padded["lengths"][:, None]).to(model.device)
            model.base_model(input_ids=padded["input_ids"].to(model.device), use_cache=False)
            bar.update(len(batch))
    tokens = sum(len(one["input_ids"]) for one in examples)
    return {key: (total / tokens).float().cpu() for key, total in totals.items()}
