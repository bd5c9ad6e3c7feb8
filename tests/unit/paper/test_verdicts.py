"""Four words for a claim, from differences of methods."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from neft.paper.verdicts import Finding, Verdict, judge, sheet, steps_to_common_loss
from neft.scoring.methods import Difference, over_seeds


def gain(value: float, error: float = 0.5, seeds: int = 5, freedom: float = 4) -> Difference:
    half = error * stats.t.isf(0.025, freedom)
    p = None if seeds == 1 else float(2 * stats.t.sf(abs(value) / error, freedom))
    return Difference(value, value - half, value + half, p, seeds, 80, error, freedom)


def words(*gains: Difference, margin: float | None = 1.0) -> list[str | None]:
    tests = [Verdict("full", "where", "what", one, one.p, margin) for one in gains]
    return [test.word for test in judge(tests)]


def test_a_clear_difference_is_better_or_worse_a_small_sure_one_equivalent_the_rest_undecided():
    assert words(gain(5)) == ["better"]
    assert words(gain(-5)) == ["worse"]
    assert words(gain(0.1, error=0.1)) == ["equivalent"]
    assert words(gain(1.0)) == ["undecided"]
    # Certain and below the margin: of no practical weight.
    assert words(gain(0.5, error=0.02)) == ["equivalent"]
    assert words(gain(0.5, error=0.02), margin=None) == ["better"]
    assert words(gain(0.0), margin=None) == ["undecided"]


def test_nine_seeds_up_and_one_down_are_better_and_one_seed_has_no_word():
    up = over_seeds([5.0, 5.2, 4.8, 5.1, 4.9, 5.3, 4.7, 5.0, 5.1, -0.1])
    assert words(up) == ["better"]
    assert words(gain(9, seeds=1)) == [None]


def test_many_tests_need_a_smaller_p():
    one = gain(2.0)  # p = 0.016
    assert words(one) == ["better"]
    assert words(one, *[gain(0.0)] * 9)[0] == "undecided"


def test_of_experiments_in_which_nothing_differs_one_in_twenty_says_that_something_does():
    draw = np.random.default_rng(1)
    wrong = 0
    for _ in range(1500):
        tests = words(*(over_seeds(list(draw.normal(0, 1, 4))) for _ in range(6)), margin=0.05)
        wrong += any(word in ("better", "worse") for word in tests)
    # 4.5 standard errors: an exact test is wrong in 75 of 1,500.
    assert wrong <= 1500 * 0.05 + 4.5 * math.sqrt(1500 * 0.05 * 0.95)


def test_at_the_margin_equivalence_is_said_in_one_of_twenty():
    draw = np.random.default_rng(2)
    said = sum(
        words(over_seeds(list(draw.normal(1.0, 0.3, 5))), margin=1.0) == ["equivalent"]
        for _ in range(1500)
    )
    assert said <= 1500 * 0.05 + 4.5 * math.sqrt(1500 * 0.05 * 0.95)


def test_a_finding_counts_its_words():
    tests = judge(
        [Verdict("full", "a", "b", one, one.p, 1.0) for one in (gain(9), gain(9), gain(1))]
    )
    counts = Finding("title", tuple(tests)).counts
    assert counts == {"better": 2, "worse": 0, "equivalent": 0, "undecided": 1}


@pytest.mark.parametrize(
    ("first", "second", "steps"),
    [
        # Both reach 2.0, the higher of the two lowest; the first halfway between its evaluations.
        ([(10, 3.0), (20, 1.0)], [(10, 4.0), (20, 2.0)], (15, 20)),
        ([(10, 1.0)], [(10, 4.0), (20, 3.0), (30, 3.5)], (10, 20)),
        # A curve that rises again has reached it when it first did.
        ([(10, 2.0), (20, 2.5)], [(10, 2.5), (20, 2.0)], (10, 20)),
        ([(5, 2.0)], [(5, 2.0)], (5, 5)),
    ],
)
def test_steps_to_a_common_loss(first, second, steps):
    assert steps_to_common_loss(first, second) == pytest.approx(steps)
    assert steps_to_common_loss(second, first) == pytest.approx(steps[::-1])


def test_a_ratio_of_steps_is_shown_with_its_interval():
    gain = over_seeds([math.log(2.0), math.log(2.1), math.log(1.9)])
    told = judge([Verdict("faster", "here", "steps", gain, gain.p, as_ratio=True)])
    cells = sheet(Finding("NeFT needs fewer steps", tuple(told))).rows[0]
    low, high = (math.exp(end) for end in gain.interval(0.95))
    assert (cells[2].text, cells[2].detail) == ("2.00×", f"[{low:.2f}×, {high:.2f}×]")
    assert cells[5].text == "better"
