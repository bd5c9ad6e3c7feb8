from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neft.analysis import neuron_arrays
from neft.analysis.neuron_arrays import Cut, MaskArrays
from neft.core.mask import NeuronMask
from neft.core.neurons import Site
from neft.errors import NeftError
from neft.selection.similarity import save_scores

UP, DOWN = "model.layers.{}.mlp.up_proj", "model.layers.{}.mlp.down_proj"


def mask(chosen: dict[str, list[int]], size: int = 4) -> MaskArrays:
    return MaskArrays(
        {key: np.array(numbers, np.int32) for key, numbers in chosen.items()},
        dict.fromkeys(chosen, size),
    )


def vectors(values: dict[str, list[float]]) -> dict[str, np.ndarray]:
    return {key: np.array(numbers, np.float32) for key, numbers in values.items()}


def test_reads_what_a_neuron_mask_saved_in_the_order_of_the_model(tmp_path):
    keys = [UP.format(2), UP.format(10)]  # by name the tenth layer would come first
    sites = {key: Site(key, "up_proj", "row", 0, 4, 8, 0) for key in keys}
    indices = {
        keys[0]: torch.tensor([1, 3], dtype=torch.int32),
        keys[1]: torch.tensor([], dtype=torch.int32),
    }
    NeuronMask(indices, sites, "hash", 8).save(tmp_path / "mask.safetensors")
    read = neuron_arrays.load_mask(tmp_path / "mask.safetensors")
    assert list(read.chosen) == keys and read.offered == dict.fromkeys(keys, 4)
    assert [list(numbers) for numbers in read.chosen.values()] == [[1, 3], []]


def test_reads_what_the_comparison_of_neurons_saved(tmp_path):
    keys = [UP.format(2), UP.format(10)]
    save_scores(
        tmp_path / "d.safetensors",
        {key: torch.tensor([0.0, 0.5]) for key in keys},
        {"axis": "natural"},
    )
    read = neuron_arrays.load_distances(tmp_path / "d.safetensors")
    assert list(read) == keys and read[keys[0]].tolist() == [0.0, 0.5]


def test_a_file_of_another_kind_is_refused(tmp_path):
    save_scores(tmp_path / "d.safetensors", {UP.format(0): torch.zeros(2)}, {})
    with pytest.raises(
        NeftError, match=r"d\.safetensors: expected a neft mask file, found 'scores'"
    ):
        neuron_arrays.load_mask(tmp_path / "d.safetensors")


def test_a_truncated_file_is_named(tmp_path):
    (tmp_path / "d.safetensors").write_bytes(b"\x10\x00")
    with pytest.raises(NeftError, match=r"d\.safetensors: not a readable scores file"):
        neuron_arrays.load_distances(tmp_path / "d.safetensors")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("model.layers.7.mlp.up_proj", (7, "mlp.up_proj")),
        ("transformer.h.11.attn.c_proj", (11, "attn.c_proj")),
        ("model.layers.3.mlp.gate_up_proj:up_proj", (3, "mlp.gate_up_proj:up_proj")),
    ],
)
def test_a_key_tells_layer_and_projection(key, expected):
    assert neuron_arrays.place(key) == expected


def test_a_key_without_a_layer_is_refused():
    with pytest.raises(NeftError, match="'lm_head': expected the number of a layer"):
        neuron_arrays.place("lm_head")


def test_shares_are_percentages_by_projection_and_layer():
    projections, grid = neuron_arrays.shares(
        mask(
            {
                UP.format(0): [0],
                DOWN.format(0): [],
                UP.format(1): [0, 1, 3],
                DOWN.format(1): [0, 1, 2, 3],
            }
        )
    )
    assert projections == ["mlp.up_proj", "mlp.down_proj"]
    assert grid.tolist() == [[25, 75], [0, 100]]


def test_a_layer_without_the_projection_has_no_share():
    _, grid = neuron_arrays.shares(mask({UP.format(0): [0], UP.format(2): [0]}))
    assert np.isnan(grid).tolist() == [[False, True, False]]


DISTANCES = vectors({UP.format(0): [0.1, 0.9, 0.2, 0.3], UP.format(1): [0.8, 0.4, 0.5, 0.6]})


def test_a_mask_of_the_farthest_cuts_at_its_nearest():
    assert neuron_arrays.find_cut(DISTANCES, mask({UP.format(0): [1], UP.format(1): [0]})) == Cut(
        pytest.approx(0.8), farthest=True
    )


def test_a_mask_of_the_nearest_cuts_at_its_farthest():
    assert neuron_arrays.find_cut(DISTANCES, mask({UP.format(0): [0, 2], UP.format(1): []})) == Cut(
        pytest.approx(0.2), farthest=False
    )


@pytest.mark.parametrize(
    "chosen",
    [[[0, 1], [2]], [[], []], [[0, 1, 2, 3], [0, 1, 2, 3]]],
    ids=["random", "nothing", "everything"],
)
def test_other_masks_have_no_cut(chosen):
    assert (
        neuron_arrays.find_cut(DISTANCES, mask(dict(zip(DISTANCES, chosen, strict=True)))) is None
    )


def test_only_the_modules_that_a_mask_offers_count():
    assert neuron_arrays.find_cut(DISTANCES, mask({UP.format(0): [1, 3]})) == Cut(
        pytest.approx(0.3), farthest=True
    )


def test_a_mask_without_distances_is_refused():
    with pytest.raises(
        NeftError,
        match=r"layers\.5\.mlp\.up_proj: the mask has 4 neurons, for which there are no distances",
    ):
        neuron_arrays.find_cut(DISTANCES, mask({UP.format(5): [1]}))


@given(st.lists(st.floats(0, 2, width=32), min_size=2, max_size=12, unique=True), st.data())
def test_the_cut_of_the_farthest_n_is_found_for_any_distances(values, data):
    count = data.draw(st.integers(1, len(values) - 1))
    order = np.argsort(values)[::-1][:count]
    found = neuron_arrays.find_cut(
        vectors({UP.format(0): values}), mask({UP.format(0): sorted(order)}, size=len(values))
    )
    assert found == Cut(float(np.float32(sorted(values)[-count])), farthest=True)
