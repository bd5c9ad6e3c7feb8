"""Masks: what goes in comes out, and nothing wrong goes in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from neft.core import mask as masks
from neft.core.mask import NeuronMask
from neft.core.neurons import Site
from neft.errors import NeftError
from neft.storage import sealed

UP = Site("layers.0.up_proj", "up_proj", "row", 0, 100, 8, 0)
DOWN = Site("layers.0.down_proj", "down_proj", "column", 0, 60, 8, 1)
SITES = {"layers.0.up_proj": UP, "layers.0.down_proj": DOWN}
SPEC = {"kind": "similarity", "fraction": 0.09}


def make(up: list[int], down: list[int], **changes: Any) -> NeuronMask:
    indices = {"layers.0.up_proj": up, "layers.0.down_proj": down}
    vectors = {key: torch.tensor(index, dtype=torch.int32) for key, index in indices.items()}
    return NeuronMask(
        **(
            {
                "indices": vectors,
                "sites": SITES,
                "base_hash": "b",
                "hidden_size": 8,
                "selector": SPEC,
                "budget": 3,
            }
            | changes
        )
    )


chosen = st.sets(st.integers(0, 59)).map(sorted)


@settings(deadline=None)
@given(up=chosen, down=chosen)
def test_a_mask_survives_the_disk_and_the_same_mask_gives_the_same_bytes(
    tmp_path_factory: Any, up: list[int], down: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("mask")
    mask = make(up, down)
    mask.save(folder / "a.safetensors")
    loaded = NeuronMask.load(folder / "a.safetensors")
    loaded.save(folder / "b.safetensors")
    assert (folder / "a.safetensors").read_bytes() == (folder / "b.safetensors").read_bytes()
    assert list(loaded.indices) == list(mask.indices)
    assert all(
        torch.equal(loaded.indices[key], index) and loaded.indices[key].dtype == torch.int32
        for key, index in mask.indices.items()
    )
    assert (loaded.sites, loaded.base_hash, loaded.selector, loaded.budget) == (SITES, "b", SPEC, 3)
    assert (loaded.sha256, loaded.count, loaded.parameters) == (
        mask.sha256,
        len(up) + len(down),
        8 * (len(up) + len(down)),
    )


def test_the_hash_tells_masks_apart() -> None:
    hashes = {
        m.sha256
        for m in (make([1], [2]), make([2], [1]), make([1], []), make([1], [2], base_hash="c"))
    }
    assert len(hashes) == 4


@pytest.mark.parametrize("index", [[3, 2], [2, 2], [-1], [100]])
def test_unordered_repeated_and_impossible_neurons_are_refused(index: list[int]) -> None:
    with pytest.raises(NeftError, match=r"layers.0.up_proj: expected ascending neurons of 0 … 99"):
        make(index, [])


def test_every_flipped_bit_and_every_missing_byte_is_noticed(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole", tmp_path / "mask.safetensors"
    make([1, 5], [2]).save(whole)
    content = whole.read_bytes()
    for position in range(len(content)):
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
        )
        try:
            damaged = NeuronMask.load(path)
        except NeftError as error:
            assert str(path) in str(error)
        else:  # a bit of white space or of the alignment that means nothing
            assert damaged.sha256 == NeuronMask.load(whole).sha256
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(NeftError, match=r"mask.safetensors"):
            NeuronMask.load(path)


def test_files_of_other_formats_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NeftError, match="missing"):
        NeuronMask.load(tmp_path / "missing")
    save_file({"a": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(
        NeftError, match="expected a neft mask file, found 'another safetensors file'"
    ):
        NeuronMask.load(tmp_path / "other")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"sites": {"a": UP.as_json()}}, "base_hash"),
        ({"sites": [UP.as_json()], "base_hash": "b", "hidden_size": 8}, "items"),
        ({"sites": {"a": {"module": "m"}}, "base_hash": "b", "hidden_size": 8}, "missing"),
        ({"sites": {"b": UP.as_json()}, "base_hash": "b", "hidden_size": 8}, "b"),
        (
            {"sites": {"a": UP.as_json()}, "base_hash": "b", "hidden_size": 8},
            "expected ascending neurons of 0 … 99",
        ),
    ],
)
def test_a_whole_file_that_holds_no_possible_mask_is_refused(
    tmp_path: Path, metadata: dict[str, Any], message: str
) -> None:
    sealed.save(tmp_path / "mask", "mask", {"a": torch.tensor([100], dtype=torch.int32)}, metadata)
    with pytest.raises(NeftError, match=f"mask: not a usable mask: .*{message}"):
        NeuronMask.load(tmp_path / "mask")


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    make([1], []).save(tmp_path / "mask")
    with safe_open(str(tmp_path / "mask"), framework="pt") as file:
        text = file.metadata()["neft"]
    save_file(
        {"a": torch.zeros(1)},
        tmp_path / "newer",
        metadata={"neft": text.replace('"version": 1', '"version": 2')},
    )
    with pytest.raises(NeftError, match="format version 2, this neft reads version 1"):
        NeuronMask.load(tmp_path / "newer")


@settings(deadline=None)
@given(first=chosen, second=chosen)
def test_union_and_intersection_are_those_of_the_sets(first: list[int], second: list[int]) -> None:
    pair = [make(first, []), make(second, [7])]
    joined, common = masks.union(pair), masks.intersection(pair)
    assert joined.indices["layers.0.up_proj"].tolist() == sorted({*first, *second})
    assert common.indices["layers.0.up_proj"].tolist() == sorted({*first} & {*second})
    assert joined.indices["layers.0.down_proj"].tolist() == [7]
    assert common.indices["layers.0.down_proj"].tolist() == []


def test_masks_of_different_models_do_not_combine() -> None:
    with pytest.raises(NeftError, match="different base models"):
        masks.union([make([1], []), make([1], [], base_hash="c")])


def test_neurons_are_counted_by_kind_and_by_layer() -> None:
    mask = make([1, 5], [2])
    assert mask.counts_by_kind() == {"up_proj": (2, 100, 16), "down_proj": (1, 60, 8)}
    assert mask.counts_by_layer() == {0: (3, 160, 24)}


@settings(deadline=None)
@given(first=chosen, second=chosen, first_down=chosen, second_down=chosen)
def test_the_overlap_is_that_of_the_sets(
    first: list[int], second: list[int], first_down: list[int], second_down: list[int]
) -> None:
    found = masks.overlap(make(first, first_down), make(second, second_down))
    assert found.shared == len({*first} & {*second}) + len({*first_down} & {*second_down})
    assert (found.first, found.second, found.offered) == (
        len(first + first_down),
        len(second + second_down),
        160,
    )
    assert found.chance_by_module == pytest.approx(
        len(first) * len(second) / 100 + len(first_down) * len(second_down) / 60
    )


def test_random_masks_share_what_chance_says() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = [sorted(torch.randperm(100, generator=generator)[:30].tolist()) for _ in range(2000)]
    pairs = [
        masks.overlap(make(a, []), make(b, []))
        for a, b in zip(draws[::2], draws[1::2], strict=True)
    ]
    mean = sum(pair.shared for pair in pairs) / len(pairs)
    assert mean == pytest.approx(
        pairs[0].chance_by_module, abs=0.3
    )  # 30 · 30 / 100; the mean's standard error is 0.08
    assert pairs[0].chance == 30 * 30 / 160  # of all the neurons of both modules
