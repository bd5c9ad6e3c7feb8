"""Neurons of every architecture that we promise, on tiny random models of the real classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

import neft
from neft.core import neurons
from neft.core.mask import NeuronMask
from neft.errors import NeftError

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 61,
    "pad_token_id": 0,
}
GPT2 = {
    "n_embd": 32,
    "n_inner": 48,
    "n_layer": 2,
    "n_head": 4,
    "vocab_size": 61,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GATED = {
    "up_proj": 48,
    "gate_proj": 48,
    "down_proj": 48,
    "q_proj": 32,
    "k_proj": 16,
    "v_proj": 16,
    "o_proj": 32,
}
MODELS: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "Llama": (SMALL, GATED),  # SmolLM2 is a Llama
    "Mistral": (SMALL, GATED),
    "Qwen2": (SMALL, GATED),
    "Qwen3": (
        SMALL | {"head_dim": 16},
        GATED | {"q_proj": 64, "k_proj": 32, "v_proj": 32, "o_proj": 64},
    ),
    "Gemma": (SMALL | {"head_dim": 8}, GATED),
    "Gemma2": (SMALL | {"head_dim": 8}, GATED),
    "SmolLM3": (SMALL, GATED),
    "Phi": (SMALL, {kind: count for kind, count in GATED.items() if kind != "gate_proj"}),
    "Phi3": (SMALL, GATED),
    "GPT2": (
        GPT2,
        {"up_proj": 48, "down_proj": 48, "q_proj": 32, "k_proj": 32, "v_proj": 32, "o_proj": 32},
    ),
}
CLASSES = {"GPT2": "GPT2LMHeadModel"}
architectures = pytest.mark.parametrize("name", MODELS)


def build(name: str) -> transformers.PreTrainedModel:
    config = getattr(transformers, f"{name}Config")(**MODELS[name][0])
    torch.manual_seed(0)
    model = getattr(transformers, CLASSES.get(name, f"{name}ForCausalLM"))(config)
    for parameter in model.parameters():  # biases are zero at first, and would hide a mistake
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def vectors(model: torch.nn.Module, site: neurons.Site) -> Tensor:
    """The site's neurons, one a row, found by reading the definition and not by our code."""
    module = model.get_submodule(site.module)
    weight = (
        module.weight.detach().t() if type(module).__name__ == "Conv1D" else module.weight.detach()
    )
    return (
        weight[site.start : site.start + site.count]
        if site.axis == "row"
        else weight.t()[site.start : site.start + site.count]
    )


@architectures
def test_finds_every_neuron_with_its_axis_and_length(name: str) -> None:
    counts = MODELS[name][1]
    sites = neurons.find(build(name))
    assert [neurons.layer_of(key) for key in sites] == sorted([0, 1] * len(counts))
    for site in sites.values():
        assert site.count == counts[site.kind]
        assert site.length == 32
        assert site.axis == ("column" if site.kind in ("down_proj", "o_proj") else "row")


@architectures
def test_training_any_kind_moves_its_own_neurons_and_equals_dense_training(name: str) -> None:
    tokens = torch.randint(1, 61, (2, 9), generator=torch.Generator().manual_seed(0))
    for kind in MODELS[name][1]:
        dense, sparse = build(name), build(name)
        sites = neurons.find(dense, [kind])
        mask = NeuronMask.from_indices(
            {key: range(1, site.count, 3) for key, site in sites.items()}, dense
        )
        before = {key: vectors(sparse, site).clone() for key, site in sites.items()}
        optimizer = torch.optim.SGD(neft.attach(sparse, mask), lr=0.1)
        for model in (dense, sparse):
            model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        neft.detach(sparse)
        for key, site in sites.items():
            module = dense.get_submodule(site.module)
            expected = vectors(dense, site).clone()
            module.weight.data = module.weight.grad  # read the dense gradient in the same way
            expected[1::3] -= 0.1 * vectors(dense, site)[1::3]
            result = vectors(sparse, site)
            torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)
            assert torch.equal(result[::3], before[key][::3]) and torch.equal(
                result[2::3], before[key][2::3]
            )
            assert not torch.equal(result, before[key]), f"{key}: no neuron moved"


@architectures
def test_an_attached_model_computes_the_same_bits(name: str) -> None:
    model = build(name)
    tokens = torch.randint(1, 61, (2, 9))
    expected = model(tokens).logits
    neft.attach(model, NeuronMask.from_indices({key: [0] for key in neurons.find(model)}, model))
    assert torch.equal(model(tokens).logits, expected)
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, expected)


@architectures
def test_a_directory_is_described_without_its_weights(name: str, tmp_path: Path) -> None:
    model = build(name).to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    record = json.loads(json.dumps(neurons.describe(tmp_path)))
    assert record["parameters"] == model.num_parameters()
    assert (record["hidden_size"], record["dtype"], record["architecture"]) == (
        32,
        "bfloat16",
        type(model).__name__,
    )
    assert neurons.sites_of(record) == neurons.find(model)
    assert list(record["neurons"]) == list(neurons.find(model))


@architectures
def test_a_directory_and_the_model_loaded_from_it_have_one_hash(name: str, tmp_path: Path) -> None:
    build(name).to(torch.bfloat16).save_pretrained(tmp_path, max_shard_size="20KB")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert neft.base_hash(tmp_path) == neft.base_hash(model)


def test_rows_of_every_matrix_can_be_asked_for() -> None:
    sites = neurons.find(build("Llama"), ["up_proj", "down_proj"], axis="row")
    assert sites["model.layers.0.mlp.up_proj"].axis == "row"
    down = sites["model.layers.0.mlp.down_proj:row"]
    assert (down.axis, down.count, down.length, down.dim) == ("row", 32, 48, 0)


def test_a_kind_that_the_model_lacks_is_an_error_that_lists_what_there_is() -> None:
    with pytest.raises(
        NeftError,
        match=r"GPT2LMHeadModel: unknown module 'gate_proj' .*available: down_proj, k_proj",
    ):
        neurons.find(build("GPT2"), ["gate_proj"])


def test_the_papers_budgets_come_out() -> None:
    """Llama-2-7B: 704,512 neurons of length 4,096 in up and down; 25,000 of them are 102.4M
    parameters.
    """
    config = transformers.LlamaConfig(
        hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32
    )
    with torch.device("meta"):
        sites = neurons.find(transformers.LlamaForCausalLM(config), ["up_proj", "down_proj"])
    assert sum(site.count for site in sites.values()) == 704_512
    assert {site.length for site in sites.values()} == {4096}
    assert 25_000 * 4096 == 102_400_000


def test_a_quantized_layer_offers_no_neurons() -> None:
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL))
    name = "model.layers.0.mlp.up_proj"
    packed = torch.nn.Parameter(
        torch.zeros(768, 1, dtype=torch.uint8), requires_grad=False
    )  # as bitsandbytes stores 4 bits
    model.get_submodule(name).weight = packed
    assert name not in neurons.find(model) and "model.layers.1.mlp.up_proj" in neurons.find(model)
