"""The highest Pearson correlation of neurons with hidden states, beside scipy's."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies
from scipy.stats import pearsonr
from torch.utils._python_dispatch import TorchDispatchMode

from neft.analysis import utilization
from neft.analysis.neuron_arrays import load_utilization
from neft.core import neurons
from neft.core.delta import Delta, LoraDelta, NeuronDelta, TensorDelta
from neft.core.neurons import Site
from neft.errors import NeftError
from neft.models.runtime import load_model

MODULES = ("up_proj", "down_proj")
TEXTS = [[5, 9, 9, 300, 17], [5, 9, 42], [5, 9, 9, 120, 8, 77, 31, 250]]


@pytest.fixture(scope="module")
def model(tiny_model: Path):
    return load_model(tiny_model, "float32")[0].eval()


def units(states: torch.Tensor) -> torch.Tensor:
    return utilization.unit(states, torch.empty(states.shape))


def pearson(neurons: np.ndarray, states: np.ndarray) -> np.ndarray:
    """scipy's correlation of every neuron [n, length] with every state [s, length], in float64: [n,
    s].
    """
    return np.array(
        [[pearsonr(u, v).statistic for v in states.astype(float)] for u in neurons.astype(float)]
    )


def stored(model, site: Site) -> np.ndarray:
    weight = model.get_parameter(f"{site.module}.weight").detach().numpy()
    return weight if site.kind == "up_proj" else weight.T


@settings(deadline=None, max_examples=30)
@given(
    seed=strategies.integers(0, 1000),
    length=strategies.integers(3, 40),
    offset=strategies.sampled_from([0.0, 1.0, -300.0]),
    scale=strategies.sampled_from([1.0, 1e-20, 1e15]),
)
def test_the_highest_correlation_is_scipys(
    seed: int, length: int, offset: float, scale: float
) -> None:
    draw = torch.Generator().manual_seed(seed)
    vectors = (torch.randn(5, length, generator=draw) + offset) * scale
    states = torch.randn(2, 3, length, generator=draw) - offset
    found = utilization.highest(vectors, torch.stack([units(layer) for layer in states]))
    expected = pearson(vectors.numpy(), states.flatten(0, 1).numpy()).max(1)
    assert found.numpy() == pytest.approx(expected, abs=2e-6)


def test_a_vector_whose_numbers_are_all_the_same_correlates_with_nothing() -> None:
    constant, rising = torch.full((1, 576), 0.1), torch.arange(576.0)[None]
    zero, opposite = utilization.highest(
        torch.cat([constant, -rising]), units(rising)[None]
    ).tolist()
    assert zero == 0 and opposite == pytest.approx(-1)
    assert utilization.highest(torch.cat([constant, rising]), units(constant)[None]).tolist() == [
        0,
        0,
    ]


def test_a_vector_that_is_the_state_correlates_with_one_and_no_more() -> None:
    vectors = torch.randn(50, 576, generator=torch.Generator().manual_seed(0))
    found = utilization.highest(3 * vectors + 7, units(vectors)[None])
    assert found.max() == 1 and found.min() > 1 - 1e-6


def test_any_block_and_any_layout_give_the_same() -> None:
    draw = torch.Generator().manual_seed(1)
    vectors, states = (
        torch.randn(40, 24, generator=draw).bfloat16(),
        units(torch.randn(30, 24, generator=draw))[None],
    )
    whole = utilization.highest(vectors, states)
    assert whole.allclose(
        utilization.highest(vectors, states, memory=1), atol=1e-6
    )  # one neuron at a time
    assert whole.allclose(
        utilization.highest(vectors.t().contiguous().t(), states, memory=999), atol=1e-6
    )


@pytest.mark.parametrize("pooling", ["token", "mean"])
@pytest.mark.parametrize(
    ("against", "read"), [("before", (0, 1)), ("same-layer", (2,)), ("all", (0, 1, 2))]
)
def test_a_model_is_read_layer_by_layer_as_asked(
    model, against: str, read: tuple[int, ...], pooling: str
) -> None:
    """The neurons of layer 1, beside the states of each text read on its own, without padding."""
    sites = {
        key: site
        for key, site in neurons.find(model, MODULES).items()
        if neurons.layer_of(key) == 1
    }
    found = utilization.utilization(model, TEXTS, sites, against, pooling)
    with torch.no_grad():
        states = [
            model(torch.tensor([text]), output_hidden_states=True).hidden_states for text in TEXTS
        ]
    wanted = [
        layers[i][0].mean(0, keepdim=True) if pooling == "mean" else layers[i][0]
        for layers in states
        for i in read
    ]
    for key, site in sites.items():
        expected = pearson(stored(model, site), torch.cat(wanted).numpy()).max(1)
        assert found[key].numpy() == pytest.approx(expected, abs=1e-5), key


def test_in_the_first_layer_the_embeddings_are_what_is_before(model) -> None:
    sites = {
        key: site
        for key, site in neurons.find(model, ("up_proj",)).items()
        if neurons.layer_of(key) == 0
    }
    ((key, site),) = sites.items()
    embeddings = (
        model.get_input_embeddings()
        .weight.detach()[sorted({token for text in TEXTS for token in text})]
        .numpy()
    )
    found = utilization.utilization(model, TEXTS, sites)[key].numpy()
    assert found == pytest.approx(pearson(stored(model, site), embeddings).max(1), abs=1e-5)


class Largest(TorchDispatchMode):
    """Bytes of the largest tensor that any operation makes."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return result


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_a_long_sample_is_read_in_blocks_that_the_memory_holds(model, pooling: str) -> None:
    draw = torch.Generator().manual_seed(2)
    texts = [torch.randint(3, 384, (40,), generator=draw).tolist() for _ in range(200)]
    sites = neurons.find(model, MODULES)
    with Largest() as largest:
        found = utilization.utilization(model, texts, sites, "all", pooling, memory=1)
    assert (
        largest.bytes <= 2**20 < 200 * 40 * 32 * 4 * 3
    )  # the states of the whole sample would be three times as much
    whole = utilization.utilization(model, texts, sites, "all", pooling, memory=512)
    for key, scores in found.items():
        assert scores.allclose(whole[key], atol=1e-5)


def test_a_text_that_the_memory_cannot_hold_is_an_error_that_says_how_much_it_needs(model) -> None:
    with pytest.raises(
        NeftError, match=r"memory: 1 MiB, but the states of a text of 2,000 tokens need 3"
    ):
        utilization.utilization(model, [[5] * 2000], neurons.find(model, MODULES), memory=1)


def test_a_number_that_is_not_finite_is_named_with_its_module(model) -> None:
    broken = copy.deepcopy(model)
    broken.model.layers[1].mlp.up_proj.weight.data[3, 4] = float("inf")
    with pytest.raises(NeftError, match=r"model.layers.1.mlp.up_proj: NaN or infinite"):
        utilization.utilization(broken, TEXTS, neurons.find(model, ("up_proj",)))


def test_a_neuron_of_another_size_is_refused(model) -> None:
    with pytest.raises(
        NeftError, match=r"down_proj:row: a neuron has 64 numbers, a hidden state 32"
    ):
        utilization.utilization(model, TEXTS, neurons.find(model, ("down_proj",), "row"))


def trained(delta: Delta | None, model) -> dict[str, list[int]]:
    """The trained neurons of layer 0."""
    flags = utilization.trained_flags(delta, neurons.find(model, MODULES))
    return {
        key.rsplit(".", 1)[1]: flag.nonzero().flatten().tolist()
        for key, flag in flags.items()
        if ".0." in key
    }


def test_what_was_trained_follows_from_the_delta(model) -> None:
    up, down, every = (
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.0.mlp.down_proj.weight",
        list(range(64)),
    )
    some = torch.tensor([2, 7], dtype=torch.int32)
    values = torch.zeros(2, 32)
    chosen = {
        f"{up}:0.index": some,
        f"{up}:0.values": values,
        f"{down}:1.index": some + 1,
        f"{down}:1.values": values,
    }
    assert trained(None, model) == {"up_proj": [], "down_proj": []}
    assert trained(NeuronDelta(chosen, {}), model) == {"up_proj": [2, 7], "down_proj": [3, 8]}
    # A trained row of `down` changes a number of each of its columns.
    rows = {f"{down}:0.index": some, f"{down}:0.values": torch.zeros(2, 64)}
    assert trained(NeuronDelta(rows, {}), model) == {"up_proj": [], "down_proj": every}
    assert trained(TensorDelta({down: torch.zeros(32, 64)}, {}), model) == {
        "up_proj": [],
        "down_proj": every,
    }
    adapter = {
        f"base_model.model.{up.removesuffix('.weight')}.lora_{part}.weight": torch.zeros(1)
        for part in "AB"
    }
    assert trained(LoraDelta(adapter, {}), model) == {"up_proj": every, "down_proj": []}


def test_of_a_fused_matrix_only_the_part_that_was_trained_counts() -> None:
    sites = {
        kind: Site("gate_up", kind, "row", start, 4, 3, 0)
        for start, kind in ((0, "gate_proj"), (4, "up_proj"))
    }
    index = torch.tensor([1, 6], dtype=torch.int32)
    delta = NeuronDelta(
        {"gate_up.weight:0.index": index, "gate_up.weight:0.values": torch.zeros(2, 3)},
        {},
    )
    flags = utilization.trained_flags(delta, sites)
    assert {kind: flag.tolist() for kind, flag in flags.items()} == {
        "gate_proj": [False, True, False, False],
        "up_proj": [False, False, True, False],
    }


def test_what_is_saved_is_read_back_in_the_models_order(tmp_path: Path) -> None:
    scores = {f"model.layers.{layer}.mlp.up_proj": torch.rand(3) for layer in (2, 10)}
    flags = {key: torch.tensor([True, False, True]) for key in scores}
    utilization.save(
        tmp_path / "u.safetensors", scores, flags, {"base_hash": "b", "text": {"rows": 3}}
    )
    found = load_utilization(tmp_path / "u.safetensors")
    assert list(found.scores) == list(scores) and (found.model, found.text) == ("b", {"rows": 3})
    for key in scores:
        assert found.scores[key].tolist() == scores[key].tolist()
        assert found.trained[key].tolist() == [True, False, True]
