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


def tenths(*modules: int) -> dict[str, torch.Tensor]:
    """Tenths of norms that rise with the neuron's number."""
    keys = list(SIZES)
    return {keys[n]: torch.arange(SIZES[keys[n]]) * 10 // SIZES[keys[n]] for n in modules}


def test_overlap_is_in_percent_of_the_smaller_mask() -> None:
    found = overlap.measure(
        make({0: [1, 2, 3, 14], 1: []}), make({0: [3, 14, 15], 1: [7, 8, 9, 10, 11]}), tenths(0, 1)
    )
    assert (found["first"], found["second"], found["offered"], found["shared"]) == (4, 8, 160, 2)
    assert found["overlap"] == 50
    assert found["random"] == pytest.approx(100 * 8 / 160)
    # Ten neurons a tenth: 3 · 1 / 10 in the shortest, 1 · 2 / 10 in the next.
    assert found["chance"] == pytest.approx(100 * (0.3 + 0.2) / 4)
    assert (found["references"], found["reference"]) == ("", None)
    assert found["above"] == pytest.approx(50 - 12.5)


def test_chance_is_the_mean_of_masks_with_the_same_counts_by_tenth() -> None:
    """Against drawing them."""
    first, second, tenth = make({0: list(range(15))}), make({0: list(range(5, 35))}), tenths(0)
    key, draw = next(iter(SIZES)), torch.Generator().manual_seed(1)

    def drawn(one: NeuronMask) -> set[int]:
        counts = tenth[key][one.indices[key].long()].bincount(minlength=10).tolist()
        return {
            10 * number + place
            for number, count in enumerate(counts)
            for place in torch.randperm(10, generator=draw)[:count].tolist()
        }

    shared = [len(drawn(first) & drawn(second)) for _ in range(4000)]
    found = overlap.measure(first, second, tenth)
    assert found["chance"] == pytest.approx(100 * sum(shared) / len(shared) / 15, abs=0.6)


def test_what_lies_above_is_above_chance_and_every_reference() -> None:
    first, second = make({0: list(range(20))}), make({0: list(range(10, 30))})
    references = {"short": make({0: list(range(14, 34))}), "noise": make({0: list(range(60, 80))})}
    found = overlap.measure(first, second, tenths(0), references)
    # The first shares 6 of 20 with `short`, the second 16.
    assert (found["references"], found["reference"]) == ("short 80.0; noise 0.0", 80)
    assert (found["overlap"], found["above"]) == (50, -30)


def test_an_empty_mask_is_an_error() -> None:
    with pytest.raises(NeftError, match="a mask without neurons"):
        overlap.measure(make({0: []}), make({0: [1]}), tenths(0))


def test_the_table_has_a_row_a_pair_with_its_mean_over_seeds() -> None:
    rows = [
        {
            "a": a,
            "b": "z",
            "seed": seed,
            "first": 4,
            "second": 4,
            "offered": 16,
            "shared": shared,
            "overlap": 25.0 * shared,
            "random": 25.0,
            "chance": 30.0,
            "references": "short 40.0" if a == "x" else "",
            "reference": 40.0 if a == "x" else None,
            "above": 25.0 * shared - 40,
        }
        for a, seed, shared in (("x", 1, 2), ("x", 2, 4), ("y", 1, 1))
    ]
    sheet = overlap.sheet("Title", rows)
    shown = [[cell.text for cell in row] for row in sheet.rows]
    numbers = ["75.0 ± 35.4", "25.0 ± 0.0", "30.0 ± 0.0", "40.0 ± 0.0", "35.0 ± 35.4"]
    assert shown[0] == ["x", "z", "2", "4", "4", "3", *numbers]
    assert shown[1] == ["y", "z", "1", "4", "4", "1", "25.0", "25.0", "30.0", "–", "-15.0"]
    assert "Seeds" in dict(sheet.notes) and "(short)" in dict(sheet.notes)["Reference"]
    alone = overlap.sheet("Title", rows[2:])
    assert not {"Seeds", "Reference"} & dict(alone.notes).keys()
    assert len(alone.header) == len(alone.rows[0]) == len(sheet.header) - 1
