"""The overlap of masks beside chance, as a table."""

from __future__ import annotations

import pytest
import torch

from neft.core import mask
from neft.core.mask import NeuronMask
from neft.core.neurons import Site
from neft.errors import NeftError
from neft.reporting import overlap

SIZES = {
    "model.layers.0.mlp.up_proj": 100,
    "model.layers.0.mlp.down_proj": 60,
    "model.layers.1.mlp.up_proj": 40,
}


def make(chosen: dict[int, list[int]], scope: str = "global") -> NeuronMask:
    """A mask of the modules of these numbers."""
    keys = list(SIZES)
    sites = {
        keys[n]: Site(keys[n], keys[n].rsplit(".", 1)[1], "row", 0, SIZES[keys[n]], 8, 0)
        for n in chosen
    }
    indices = {
        keys[n]: torch.tensor(sorted(index), dtype=torch.int32) for n, index in chosen.items()
    }
    return NeuronMask(indices, sites, "base", 8, {"kind": "random", "scope": scope})


def random_mask(
    generator: torch.Generator, modules: list[int], sizes: list[int], scope: str
) -> NeuronMask:
    """Random neurons: so many of each stratum of the scope."""
    keys = list(SIZES)
    strata = {
        "global": [modules],
        "module": [[n] for n in modules],
        "layer": [[n for n in modules if f".{i}." in keys[n]] for i in (0, 1)],
    }
    chosen: dict[int, list[int]] = {n: [] for n in modules}
    for group, size in zip([g for g in strata[scope] if g], sizes, strict=True):
        pool = [(n, i) for n in group for i in range(SIZES[keys[n]])]
        for place in torch.randperm(len(pool), generator=generator)[:size].tolist():
            chosen[pool[place][0]].append(pool[place][1])
    return make(chosen, scope)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (([0, 1, 2], [60], "global"), ([0, 1, 2], [40], "global")),
        (
            ([0, 1, 2], [60], "global"),
            ([0, 2], [40], "global"),
        ),  # pools of which only one has a module
        (([0, 1, 2], [50, 10, 20], "module"), ([0, 1, 2], [60, 20], "layer")),
        (([0, 1], [30, 30], "module"), ([1, 2], [50], "global")),
    ],
)
def test_random_masks_share_on_average_what_chance_says(first: tuple, second: tuple) -> None:
    generator = torch.Generator().manual_seed(0)
    found = [
        mask.overlap(random_mask(generator, *first), random_mask(generator, *second))
        for _ in range(600)
    ]
    # Of a global scope the number in a module varies, but not the expectation.
    shared = torch.tensor([one.shared for one in found], dtype=torch.float)
    expected = sum(one.chance for one in found) / len(found)
    assert shared.mean() == pytest.approx(expected, abs=4 * float(shared.std()) / len(found) ** 0.5)


def test_overlap_is_in_percent_of_the_smaller_mask() -> None:
    found = overlap.measure(
        make({0: [1, 2, 3, 4], 1: []}), make({0: [3, 4, 5], 1: [7, 8, 9, 10, 11]})
    )
    assert (found["first"], found["second"], found["offered"], found["shared"]) == (4, 8, 160, 2)
    assert found["overlap"] == 50
    assert found["chance"] == pytest.approx(4 * 8 / 160)
    assert found["above_chance"] == pytest.approx(50 - 100 * 8 / 160)


def test_an_empty_mask_is_an_error() -> None:
    with pytest.raises(NeftError, match="a mask without neurons"):
        overlap.measure(make({0: []}), make({0: [1]}))


def test_the_table_has_a_row_a_pair_with_its_mean_over_seeds() -> None:
    same = {"first": 4, "second": 4, "offered": 16, "chance": 1.0, "chance_overlap": 25.0}
    rows = [
        {
            "a": a,
            "b": "z",
            "seed": seed,
            "shared": shared,
            "overlap": 25.0 * shared,
            "above_chance": 25.0 * (shared - 1),
            **same,
        }
        for a, seed, shared in (("x", 1, 2), ("x", 2, 4), ("y", 1, 1))
    ]
    sheet = overlap.sheet("Title", rows)
    assert [cell.text for cell in sheet.rows[0]] == [
        "x",
        "z",
        "2",
        "4",
        "4",
        "3",
        "75.0 ± 35.4",
        "25.0 ± 0.0",
        "50.0 ± 35.4",
    ]
    assert [cell.text for cell in sheet.rows[1]] == [
        "y",
        "z",
        "1",
        "4",
        "4",
        "1",
        "25.0",
        "25.0",
        "0.0",
    ]
    assert "Seeds" in dict(sheet.notes)
    assert "Seeds" not in dict(overlap.sheet("Title", rows[2:]).notes)
