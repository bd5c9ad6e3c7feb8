"""Budgets and rankings, and the selectors that use them."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pydantic
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import tensor

from neft import plugins
from neft.core.neurons import Site
from neft.errors import NeftError
from neft.selection import budgets
from neft.selection.budgets import MaskSpec, Part

SITES = {
    "l.0.up": Site("l.0.up", "up_proj", "row", 0, 1536, 576, 0),
    "l.0.down": Site("l.0.down", "down_proj", "column", 0, 1536, 576, 1),
}


def run(
    kind: str, scores: dict[str, Any], budget: int, scope: Any = "global"
) -> dict[str, list[int]]:
    selector = plugins.load("selectors", kind)
    (what,) = selector.READS
    ranking = selector.rank({what: scores}, {}, selector.Spec(kind=kind, neurons=1), 0)
    chosen = budgets.take(ranking.scores, budget, scope)
    assert all(index.dtype == torch.int32 for index in chosen.values())
    return {key: index.tolist() for key, index in chosen.items()}


def test_similarity_takes_the_farthest_neurons_of_all_modules_together() -> None:
    assert run("similarity", {"a": tensor([0.1, 0.9]), "b": tensor([0.5, 0.2])}, 2) == {
        "a": [1],
        "b": [0],
    }


def test_reversed_takes_the_nearest() -> None:
    assert run("reversed", {"a": tensor([0.1, 0.9]), "b": tensor([0.5, 0.2])}, 2) == {
        "a": [0],
        "b": [1],
    }


def test_magnitude_and_gradient_take_the_largest() -> None:
    for kind in ("magnitude", "gradient"):
        assert run(kind, {"a": tensor([3.0, 9.0]), "b": tensor([5.0, 2.0])}, 2) == {
            "a": [1],
            "b": [0],
        }


def test_random_follows_the_seed() -> None:
    def draw(seed: int) -> list[int]:
        typed = plugins.settings("selectors", {"kind": "random", "neurons": 100})
        ranking = plugins.load("selectors", "random").rank({}, SITES, typed, seed)
        return budgets.take(ranking.scores, 100)["l.0.up"].tolist()

    assert draw(1) == draw(1) != draw(2)


def test_ties_at_the_cut_are_counted_where_some_are_left() -> None:
    scores = {"l.0.up": tensor([3.0, 2, 2, 2]), "l.1.up": tensor([2.0, 1, 1, 1])}
    for count, expected in ((1, (0, 0)), (2, (4, 1)), (4, (4, 3)), (5, (0, 0)), (6, (3, 1))):
        assert budgets.ties(scores, budgets.take(scores, count)) == expected
    by_module = budgets.take(scores, 4, "module")
    assert budgets.ties(scores, by_module, "module") == (3 + 3, 1 + 1)
    assert budgets.ties(scores, {key: tensor([]).int() for key in scores}) == (0, 0)


def test_ties_go_to_the_earlier_module_then_to_the_lower_index() -> None:
    scores = {"b": torch.ones(3), "a": torch.ones(3)}
    for kind in ("similarity", "reversed"):
        assert run(kind, scores, 4) == {"b": [0, 1, 2], "a": [0]}


def test_a_scope_gives_every_module_or_layer_its_share() -> None:
    scores = {
        "l.0.up": tensor([9.0, 8, 7, 6]),
        "l.0.down": tensor([5.0, 4, 3, 2]),
        "l.1.up": tensor([1.0, 0, 0, 0]),
    }
    assert run("similarity", scores, 3, scope="module") == {
        "l.0.up": [0],
        "l.0.down": [0],
        "l.1.up": [0],
    }
    assert run("similarity", scores, 3, scope="layer") == {
        "l.0.up": [0, 1],
        "l.0.down": [],
        "l.1.up": [0],
    }
    assert run("similarity", scores, 3, scope="global") == {
        "l.0.up": [0, 1, 2],
        "l.0.down": [],
        "l.1.up": [],
    }


vectors = st.lists(
    st.lists(st.integers(0, 4).map(float), min_size=1, max_size=8), min_size=1, max_size=4
)


@settings(deadline=None)
@given(
    vectors=vectors,
    data=st.data(),
    scope=st.sampled_from(["global", "module", "layer"]),
    largest=st.booleans(),
)
def test_takes_exactly_the_number_and_nothing_better_is_left(
    vectors: list[list[float]], data: Any, scope: Any, largest: bool
) -> None:
    scores = {f"l.{i // 2}.m{i}": tensor(v) for i, v in enumerate(vectors)}
    count = data.draw(st.integers(0, sum(map(len, vectors))))
    chosen = budgets.take(scores, count, scope, largest)
    assert sum(len(index) for index in chosen.values()) == count
    if scope == "global":
        ranked = sorted(
            ((key, i) for key, v in scores.items() for i in range(len(v))),
            key=lambda place: (
                -scores[place[0]][place[1]].item() if largest else scores[place[0]][place[1]].item()
            ),
        )  # sorted() keeps the order of equal ones: the reference for ties
        assert {(key, i) for key, index in chosen.items() for i in index.tolist()} == set(
            ranked[:count]
        )


def test_ten_million_neurons_take_less_than_two_seconds_and_always_the_same_ones() -> None:
    scores = {
        f"l.{i}.m": torch.randint(0, 1 << 20, (1 << 20,)) / (1 << 20) for i in range(10)
    }  # with many ties
    start = time.perf_counter()
    first = budgets.take(scores, 900_000)
    assert time.perf_counter() - start < 2
    assert all(
        torch.equal(first[key], index) for key, index in budgets.take(scores, 900_000).items()
    )


def refilled(*parts: Part) -> dict[str, list[int]]:
    return {key: index.tolist() for key, index in budgets.refill(parts).items()}


def test_a_refill_takes_turns_and_the_first_part_comes_first() -> None:
    first, second = {"a": tensor([9.0, 8, 7, 6, 5, 4])}, {"a": tensor([4.0, 5, 9, 8, 7, 6])}
    # By rank 0 1 2 3 … and 2 3 4 5 …: two each are 0 1 2 3, which is four already.
    assert refilled(Part(first, 2), Part(second, 2)) == {"a": [0, 1, 2, 3]}
    # Three each share neuron 2. The first part's next is 3, which the second has; the second's next
    # is 5.
    assert refilled(Part(first, 3), Part(second, 3)) == {"a": [0, 1, 2, 3, 4, 5]}
    same = {"a": tensor([1.0, 2, 3, 4, 5, 6])}
    assert refilled(Part(same, 2), Part(same, 2)) == {"a": [2, 3, 4, 5]}


def test_a_refill_with_a_scope_lets_every_group_grow_alike() -> None:
    scores = {"l.0.m": tensor([9.0, 8, 7, 6, 5, 4]), "l.1.m": tensor([3.0, 2, 1])}
    # Each has 0 1 | 0. Next are the middles of what a neuron fills of its group: 2½/6, 1½/3, 3½/6.
    same = Part(scores, 3, "module")
    assert refilled(same, same) == {"l.0.m": [0, 1, 2, 3], "l.1.m": [0, 1]}


def test_a_refill_makes_up_for_what_parts_share_and_no_more() -> None:
    # First 0 1 2 3 4, second 0 1 5 6 7: two each are {0, 1}; in turn come 2 and 5, the fourth.
    first, second = (
        {"a": tensor([9.0, 8, 7, 6, 5, 0, 0, 0])},
        {"a": tensor([9.0, 8, 0, 0, 0, 7, 6, 5])},
    )
    assert refilled(Part(first, 2), Part(second, 2)) == {"a": [0, 1, 2, 5]}
    # One and two: {0, 1}; the first part's next is 1, the second's 5, which is the third.
    assert refilled(Part(first, 1), Part(second, 2)) == {"a": [0, 1, 5]}


def test_parts_of_other_modules_never_share_and_need_no_refill() -> None:
    assert refilled(Part({"a": tensor([1.0, 2])}, 1), Part({"b": tensor([2.0, 1])}, 1)) == {
        "a": [1],
        "b": [0],
    }


def test_a_refill_beyond_all_neurons_is_an_error() -> None:
    scores = {"a": tensor([1.0, 2, 3])}
    with pytest.raises(
        NeftError, match="ask for 4 neurons together, but their modules have only 3"
    ):
        budgets.refill([Part(scores, 2), Part(scores, 2)])


@settings(deadline=None)
@given(
    data=st.data(),
    scopes=st.lists(st.sampled_from(["global", "module", "layer"]), min_size=1, max_size=3),
)
def test_a_refilled_union_has_exactly_the_number_and_each_parts_own_choice(
    data: Any, scopes: list[Any]
) -> None:
    sizes = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    counts = data.draw(
        st.lists(st.integers(1, sum(sizes)), min_size=len(scopes), max_size=len(scopes))
    )
    drawn = [
        [data.draw(st.lists(st.integers(0, 9).map(float), min_size=n, max_size=n)) for n in sizes]
        for _ in scopes
    ]
    parts = [
        Part({f"l.{i // 2}.m{i}": tensor(v) for i, v in enumerate(vectors)}, budget, scope)
        for vectors, budget, scope in zip(drawn, counts, scopes, strict=True)
    ]
    if sum(counts) > sum(sizes):
        with pytest.raises(NeftError, match="have only"):
            budgets.refill(parts)
        return
    chosen = budgets.refill(parts)
    assert sum(map(len, chosen.values())) == sum(counts)
    for part in parts:
        for key, index in budgets.take(part.scores, part.budget, part.scope).items():
            assert set(index.tolist()) <= set(chosen[key].tolist())


def test_nan_cannot_be_ranked() -> None:
    with pytest.raises(NeftError, match="NaN"):
        budgets.take({"a": tensor([0.0, float("nan")])}, 1)


def size(spec: dict[str, Any]) -> MaskSpec:
    return MaskSpec.model_validate(spec)


def test_a_fraction_is_of_all_the_models_parameters() -> None:
    # Llama-2-7B: 6,738,415,616 parameters; 0.09 of them are 606 M, which is 148,062 vectors of
    # 4,096
    sites = {f"l.{i}.up": Site(f"l.{i}.up", "up_proj", "row", 0, 11008, 4096, 0) for i in range(64)}
    assert budgets.budget(size({"fraction": 0.09}), sites, 6_738_415_616, "Llama") == round(
        0.09 * 6_738_415_616 / 4096
    )
    assert budgets.budget(size({"neurons": 25_000}), sites, 6_738_415_616, "Llama") == 25_000


def test_a_budget_larger_than_the_modules_offer_is_an_error_that_says_what_they_have() -> None:
    with pytest.raises(
        NeftError,
        match=(
            r"fraction: 0.9 asks for 4,688 neurons, but up_proj and down_proj of M have 3,072"
            r" \(0.59\)"
        ),
    ):
        budgets.budget(size({"fraction": 0.9}), SITES, 3_000_000, "M")
    with pytest.raises(
        NeftError, match="neurons: 4,000 are asked for, but up_proj and down_proj of M have 3,072"
    ):
        budgets.budget(size({"neurons": 4_000}), SITES, 3_000_000, "M")
    with pytest.raises(NeftError, match="fraction: 1e-06 asks for 0 neurons"):
        budgets.budget(size({"fraction": 1e-6}), SITES, 3_000, "M")


@pytest.mark.parametrize("kind", ["similarity", "reversed", "random"])
def test_a_spec_takes_one_size_and_known_modules(kind: str) -> None:
    spec = plugins.load("selectors", kind).Spec
    assert spec(kind=kind, fraction=0.09).modules == ("up_proj", "down_proj")
    for wrong in (
        {},
        {"fraction": 0.1, "neurons": 3},
        {"fraction": 1.5},
        {"neurons": 0},
        {"neurons": 1, "modules": ["up"]},
    ):
        with pytest.raises(pydantic.ValidationError):
            spec(kind=kind, **wrong)


def test_reading_the_specs_imports_nothing_heavy() -> None:
    code = (
        "import sys, neft; from neft import plugins; [plugins.load('selectors', n) for n in"
        " plugins.available('selectors')]\n"
    )
    code += "assert not {'torch', 'transformers', 'numpy', 'pandas'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
