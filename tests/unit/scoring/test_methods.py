"""Methods over seeds: formulas against scipy's, level and coverage against simulation."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import stats

import tiny
from neft.errors import NeftError
from neft.scoring.methods import compare, equivalent, pseudo_values
from neft.scoring.metrics import chrf
from neft.scoring.score import ratio


def means(values):
    return np.stack([np.asarray(values, dtype=np.float64), np.ones(len(values))], axis=1)


def runs(draw, seeds, rows, seed_sd, row_sd, sd=17.0, true=0.0):
    """Statistics per seed of two methods whose differences have these standard deviations."""
    rest = (sd**2 - row_sd**2) ** 0.5
    apart = true + draw.normal(0, rest, (seeds, rows))
    apart += draw.normal(0, seed_sd, (seeds, 1)) + draw.normal(0, row_sd, rows)
    second = draw.normal(50, 10, (seeds, rows))
    return [means(x) for x in second + apart], [means(x) for x in second]


def test_where_rows_share_nothing_it_is_the_t_test_over_seeds():
    # Rows whose means over seeds are all the same leave nothing to rows.
    first = [means([50.0 + s + r * sign for r in (-3, 1, 2)]) for s, sign in ((0, 1), (1, -1))]
    first += [means([54.0 + r for r in (-3, 1, 2)]), means([52.0 - r for r in (-3, 1, 2)])]
    second = [means([49.0] * 3)] * 4
    found = compare(first, second, ratio)
    wanted = stats.ttest_1samp([1, 2, 5, 3], 0)
    interval = wanted.confidence_interval(0.95)
    assert found.p == pytest.approx(wanted.pvalue) and found.freedom == pytest.approx(3)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.value, found.seeds, found.rows) == (2.75, 4, 3)


def test_one_seed_has_the_interval_of_its_rows_and_no_p():
    first, second = np.random.default_rng(1).normal(50, 10, (2, 40))
    found = compare([means(first)], [means(second)], ratio)
    interval = stats.ttest_1samp(first - second, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p is None and not equivalent(found, 1000)


def test_pseudo_values_are_the_scores_of_rows_or_leave_one_out():
    assert pseudo_values(means([1, 5, 9]), ratio) == pytest.approx([1, 5, 9])
    references = [target for _, target in tiny.pairs()][:6]
    spec = chrf.Spec(kind="chrf")
    counts = chrf.statistics(
        tiny.output_rows([text[:-4] for text in references], references), spec, "fr"
    )
    value = partial(chrf.value, spec=spec)
    without = [value(np.delete(counts, place, axis=0).sum(axis=0)) for place in range(6)]
    whole = value(counts.sum(axis=0))
    assert pseudo_values(counts, value) == pytest.approx([6 * whole - 5 * one for one in without])


def test_interval_p_and_equivalence_agree():
    draw = np.random.default_rng(2)
    for true in (0.0, 2.0, 4.0, 6.0):
        found = compare(*runs(draw, 5, 80, 1, 6, true=true), ratio)
        assert (found.p < 0.05) == (not found.low < 0 < found.high)
        low, high = found.interval(0.9)
        assert found.low < low < found.value < high < found.high
        margin = max(abs(low), abs(high))
        assert equivalent(found, margin * 1.01) and not equivalent(found, margin * 0.99)


def test_the_same_outputs_do_not_differ():
    one = [means([1.0, 2.0, 3.0])] * 3
    assert (compare(one, one, ratio).value, compare(one, one, ratio).p) == (0, 1)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("row_sd", [0, 6, 12])
def test_equal_methods_are_told_apart_as_often_as_the_level_says(seeds, row_sd):
    draw = np.random.default_rng(seeds)
    ps = np.array([compare(*runs(draw, seeds, 80, 2, row_sd), ratio).p for _ in range(1500)])
    assert 0.025 < (ps < 0.05).mean() < 0.07  # .05, ± .015 and the noise of 1,500 trials
    assert 0.25 < (ps < 0.30).mean() < 0.35


def test_what_does_not_pair_up_is_refused():
    one = means([1.0, 2.0])
    with pytest.raises(NeftError, match="same seeds and rows"):
        compare([one], [one, one], ratio)
    with pytest.raises(NeftError, match="same seeds and rows"):
        compare([one], [means([1.0])], ratio)
    with pytest.raises(NeftError, match="at least two rows"):
        compare([means([1.0])], [means([1.0])], ratio)
