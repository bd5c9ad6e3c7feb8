"""Corrected p values, against closed testing by brute force."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neft.scoring.corrections import holm

P = st.sampled_from([0.001, 0.004, 0.01, 0.02, 0.05, 0.2, 0.6])


def closed(ps: list[float], groups: list[int]) -> list[float]:
    """Of each hypothesis the largest Bonferroni p of any set that holds it and can be true."""
    found = [0.0] * len(ps)
    for size in range(1, len(ps) + 1):
        for chosen in combinations(range(len(ps)), size):
            if len({groups[place] for place in chosen}) == size:
                p = min(1.0, size * min(ps[place] for place in chosen))
                for place in chosen:
                    found[place] = max(found[place], p)
    return found


@given(st.lists(P, min_size=1, max_size=6))
def test_without_groups_it_is_the_closed_test_of_bonferroni(ps: list[float]) -> None:
    assert holm(ps) == pytest.approx(closed(ps, list(range(len(ps)))))


@given(st.lists(st.tuples(P, st.integers(0, 2)), min_size=1, max_size=6))
def test_with_groups_it_rejects_no_more_than_closed_testing_and_no_less_than_holm(
    drawn: list[tuple[float, int]],
) -> None:
    ps, groups = [p for p, _ in drawn], [group for _, group in drawn]
    corrected = holm(ps, groups)
    assert all(a >= b - 1e-12 for a, b in zip(corrected, closed(ps, groups), strict=True))
    assert all(a <= b + 1e-12 for a, b in zip(corrected, holm(ps), strict=True))


def test_of_two_that_contradict_each_other_one_counts() -> None:
    assert holm([0.01, 0.02, 0.9, 0.9], ["a", "b", "a", "b"]) == pytest.approx([0.02, 0.04, 1, 1])
    assert holm([0.03, 0.04], ["a", "a"]) == pytest.approx([0.03, 0.04])
