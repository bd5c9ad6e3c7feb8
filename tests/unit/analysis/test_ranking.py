"""Ranks, their differences, buckets and categories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies

from neft.analysis import ranking, utilization
from neft.analysis.ranking import Categories, RankedPair
from neft.errors import NeftError


def pair(first: list[int], second: list[int], trained: list[bool] | None = None) -> RankedPair:
    return RankedPair(np.array(first), np.array(second), np.array(trained or [False] * len(first)))


def write(
    path: Path,
    scores: dict[str, list[float]],
    trained: dict[str, list[bool]] | None = None,
    **metadata,
) -> Path:
    vectors = {key: torch.tensor(values) for key, values in scores.items()}
    flags = {
        key: torch.tensor(values)
        for key, values in (trained or {k: [False] * len(v) for k, v in scores.items()}).items()
    }
    utilization.save(path, vectors, flags, {"base_hash": "a", "text": {"rows": 1}} | metadata)
    return path


def test_the_highest_score_ranks_first_and_of_equal_ones_the_first() -> None:
    scores = {"b": np.array([0.1, 0.9], np.float32), "a": np.array([0.9, -0.5, 0.1], np.float32)}
    assert ranking.ranks(scores).tolist() == [3, 1, 2, 5, 4]


def test_a_pair_is_read_ranked_and_trained_where_either_was(tmp_path: Path) -> None:
    keys = ("model.layers.2.up", "model.layers.10.up")
    first = write(
        tmp_path / "a",
        {keys[0]: [3.0, 1.0], keys[1]: [2.0]},
        {keys[0]: [True, False], keys[1]: [False]},
    )
    second = write(
        tmp_path / "b",
        {keys[0]: [1.0, 3.0], keys[1]: [2.0]},
        {keys[0]: [False, False], keys[1]: [True]},
    )
    found = ranking.load_pair(first, second)
    assert found.first.tolist() == [1, 3, 2] and found.difference.tolist() == [2, -2, 0]
    assert found.trained.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"base_hash": "c"}, "another model can't be compared: a and c"),
        ({"text": {"rows": 2}}, "another text can't be compared: {'rows': 1} and {'rows': 2}"),
        ({"scores": {"x": [1.0, 2.0]}}, "not the same neurons: {'x': 1} and {'x': 2}"),
    ],
)
def test_models_that_cannot_be_compared_are_refused(
    tmp_path: Path, other: dict, message: str
) -> None:
    first, second = (
        write(tmp_path / "a", {"x": [1.0]}),
        write(tmp_path / "b", **({"scores": {"x": [1.0]}} | other)),
    )
    with pytest.raises(NeftError) as caught:
        ranking.load_pair(first, second)
    assert message in str(caught.value)


def test_buckets_are_of_the_first_models_ranking() -> None:
    one = pair([4, 1, 2, 3], [1, 2, 4, 3])
    found = ranking.buckets(one, [25, 50])
    assert [(b.low, b.high, b.neurons, b.mean) for b in found] == [
        (0, 25, 1, 1),
        (25, 50, 1, 2),
        (50, 100, 2, 1.5),
    ]


def test_a_bucket_too_narrow_for_a_neuron_is_empty() -> None:
    found = ranking.buckets(pair([1, 2, 3], [3, 2, 1]), [0.03])
    assert found[0] == (0, 0.03, 0, None, None)
    assert found[1].neurons == 3


@given(
    strategies.permutations(range(1, 41)),
    strategies.lists(strategies.floats(0.5, 99.5), unique=True, max_size=6).map(sorted),
)
def test_every_neuron_is_in_one_bucket_and_the_buckets_mean_is_that_of_all(
    second: list[int], edges: list[float]
) -> None:
    one = pair(list(range(1, 41)), second)
    found = ranking.buckets(one, edges)
    assert sum(bucket.neurons for bucket in found) == 40
    total = sum(bucket.neurons * bucket.mean for bucket in found if bucket.neurons)
    assert total / 40 == pytest.approx(np.abs(one.difference).mean())


def test_unrelated_rankings_differ_on_average_by_what_the_table_says() -> None:
    draw = np.random.default_rng(0)
    first = np.arange(1, 101)
    runs = [
        ranking.buckets(RankedPair(first, draw.permutation(first), first > 0), [3, 50])
        for _ in range(2000)
    ]
    for place, bucket in enumerate(runs[0]):
        assert np.mean([run[place].mean for run in runs]) == pytest.approx(
            bucket.unrelated, rel=0.03
        )


def test_strong_is_above_the_threshold_suppressed_fell_and_indirect_was_not_trained() -> None:
    one = pair([1, 2, 3, 4, 5, 6], [4, 5, 1, 3, 6, 2], [False, True, False, False, False, False])
    # Differences 3, 3, -2, -1, 1, -4.
    assert ranking.categories(one, 2) == Categories(strong=3, suppressed=2, indirect=2)
    assert ranking.categories(one, 3) == Categories(1, 0, 1)


def test_seeds_of_a_pair_stand_together() -> None:
    runs = [{"a": "x", "b": b, "seed": seed} for seed in (1, 2) for b in ("y", "z")]
    found = ranking.by_pair(runs)
    assert {name: [run["seed"] for run in group] for name, group in found.items()} == {
        "x → y": [1, 2],
        "x → z": [1, 2],
    }


def test_a_figure_says_what_its_bars_are_where_there_are_seeds() -> None:
    assert ranking.reach({"x": [{}], "y": [{}, {}]}) == "; thin bars: lowest to highest of 2 seeds"
    assert ranking.reach({"x": [{}]}) == ""
