"""Steps relative to a neuron's norm: small neurons no longer turn more than large ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

import neft
from neft.core import layers
from neft.core.mask import NeuronMask

UP, DOWN = "model.layers.0.mlp.up_proj", "model.layers.1.mlp.down_proj"
CHOICE = {UP: [0, 5, 15], DOWN: [2, 3]}


def llama() -> LlamaForCausalLM:
    """A tiny model some of whose neurons are a hundred times as long as others."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2}
    config = LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=2, vocab_size=37)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.get_parameter(f"{UP}.weight").mul_(torch.logspace(-1, 1, 16)[:, None])
    return model


def trained(
    relative_step: bool, optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer]
) -> tuple[Tensor, Tensor]:
    """The selected neurons before and after one step, [neurons, 16]."""
    model = llama()
    parameters = neft.attach(model, NeuronMask.from_indices(CHOICE, model), relative_step)
    before = torch.cat([parameter.detach().clone() for parameter in parameters])
    tokens = torch.arange(24).reshape(2, 12)
    step = optimizer(parameters)
    model(input_ids=tokens, labels=tokens).loss.backward()
    step.step()
    for _, layer in layers.attached(model):  # what the model computes with is what was trained
        for axis, parameter in layer.trained():
            assert torch.equal(layer.current(axis), parameter)
    return before, torch.cat([parameter.detach() for parameter in parameters])


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_each_neurons_change_is_multiplied_by_its_norm_over_the_mean_norm(kind: str) -> None:
    make = {
        "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.0),
    }[kind]
    before, plain = trained(False, make)
    same, relative = trained(True, make)
    torch.testing.assert_close(same, before, rtol=0, atol=0)
    norms = before.norm(dim=1, keepdim=True)
    expected = (plain - before) * norms / norms.mean()
    torch.testing.assert_close(relative - before, expected, rtol=1e-3, atol=1e-7)


def test_adamw_then_turns_all_neurons_alike() -> None:
    before, after = trained(
        True, lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.0, eps=1e-20)
    )
    turned = (after - before).norm(dim=1) / before.norm(dim=1)
    assert turned.std() / turned.mean() < 0.02
    before, after = trained(
        False, lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.0, eps=1e-20)
    )
    turned = (after - before).norm(dim=1) / before.norm(dim=1)
    assert turned.std() / turned.mean() > 0.5
