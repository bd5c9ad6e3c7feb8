"""Sums of gradients: those of plain autograd, with no more in memory than one matrix's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from neft.core import neurons
from neft.data.encode import IGNORED, Example, pad
from neft.selection import gradients

CPU = torch.device("cpu")


def load(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def examples(count: int) -> list[Example]:
    generator = torch.Generator().manual_seed(0)
    result: list[Example] = []
    for number in range(count):
        ids = torch.randint(3, 300, (6 + number % 5,), generator=generator).tolist()
        result.append({"input_ids": ids, "labels": [IGNORED] * 3 + ids[3:]})
    return result


def sums(model: Any, rows: list[Example], **changes: Any) -> dict[str, torch.Tensor]:
    options = {"batches": 1, "batch_size": 4, "seed": 1, "precision": "float32", "device": CPU}
    sites = neurons.find(model, changes.pop("modules", None), changes.pop("axis", "natural"))
    return gradients.sums(model, rows, sites, **options | changes)


@pytest.mark.parametrize("axis", ["natural", "row"])
def test_a_batch_gives_the_absolute_gradients_of_plain_autograd(
    tiny_model: Path, axis: str
) -> None:
    rows = examples(4)
    found = sums(load(tiny_model), rows, axis=axis)
    model = load(tiny_model)
    batch = pad(rows)
    model(input_ids=batch["input_ids"], labels=batch["labels"]).loss.backward()
    for key, site in neurons.find(model, axis=axis).items():
        expected = model.get_submodule(site.module).weight.grad.abs().sum(1 - site.dim)
        torch.testing.assert_close(found[key], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("statistic", ["taylor", "fisher"])
def test_a_statistic_is_that_of_each_batchs_whole_gradient(
    tiny_model: Path, statistic: str
) -> None:
    rows = examples(4)  # one batch an epoch: three batches are three times the same
    found = sums(load(tiny_model), rows, statistic=statistic, batches=3)
    model = load(tiny_model)
    batch = pad(rows)
    model(input_ids=batch["input_ids"], labels=batch["labels"]).loss.backward()
    for key, site in neurons.find(model).items():
        weight = model.get_submodule(site.module).weight
        products = weight.grad * (weight.detach() if statistic == "taylor" else weight.grad)
        expected = 3 * products.abs().sum(1 - site.dim)
        torch.testing.assert_close(found[key], expected, rtol=1e-4, atol=1e-9)


def test_batches_add_up_beyond_an_epoch(tiny_model: Path) -> None:
    rows = examples(4)  # one batch an epoch
    once, thrice = (sums(load(tiny_model), rows, batches=batches) for batches in (1, 3))
    for key, vector in thrice.items():
        torch.testing.assert_close(vector, 3 * once[key], rtol=1e-4, atol=1e-7)


def test_neurons_that_nothing_depends_on_have_none_and_are_last(tiny_model: Path) -> None:
    model = load(tiny_model)
    with torch.no_grad():  # of the first layer only neurons 5 and 9 reach anything
        weight = model.model.layers[0].mlp.down_proj.weight
        kept = weight[:, [5, 9]].clone()
        weight.zero_()
        weight[:, [5, 9]] = kept
    found = sums(model, examples(8), batches=2, modules=["up_proj"])
    assert found["model.layers.0.mlp.up_proj"].nonzero().flatten().tolist() == [5, 9]


def test_no_gradient_outlives_its_reduction(tiny_model: Path) -> None:
    model = load(tiny_model)
    alive: list[int] = []
    for parameter in model.parameters():
        parameter.register_hook(
            lambda gradient: alive.append(sum(p.grad is not None for p in model.parameters()))
        )
    sums(model, examples(4))
    assert len(alive) == 14 and max(alive) == 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_seed_chooses_the_batches(tiny_model: Path) -> None:
    rows = examples(40)
    one, again, other = (sums(load(tiny_model), rows, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)
