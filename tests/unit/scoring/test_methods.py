"""Methods over seeds: formulas against scipy's, level and coverage against simulation."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import stats

import tiny
from neft.errors import NeftError
from neft.scoring.methods import compare, equivalence, over_seeds, pair_up, pseudo_values
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
    assert found.p is None and equivalence(found, 1000) is None


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
        assert equivalence(found, margin * 1.01) < 0.05 < equivalence(found, margin * 0.99)
        turned = -found
        assert (turned.value, turned.low, turned.high) == (-found.value, -found.high, -found.low)
        assert equivalence(turned, margin) == pytest.approx(equivalence(found, margin))


def test_equivalence_is_the_larger_p_of_two_one_sided_t_tests():
    values = [0.4, -0.2, 0.9, 0.1]
    found = over_seeds(values)
    below = stats.ttest_1samp(values, 1.5, alternative="less").pvalue
    above = stats.ttest_1samp(values, -1.5, alternative="greater").pvalue
    assert equivalence(found, 1.5) == pytest.approx(max(below, above))
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    wanted = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert (found.seeds, found.rows) == (4, None)


def test_one_number_of_one_seed_has_neither_interval_nor_test():
    found = over_seeds([3.0])
    assert (found.value, found.p, found.seeds) == (3.0, None, 1)
    assert (found.low, found.high) == (None, None) and equivalence(found, 10) is None


def test_the_untuned_model_meets_every_run_of_a_method():
    base, tuned = {0: "base"}, {1: "one", 2: "two"}
    assert pair_up(tuned, base) == {1: ("one", "base"), 2: ("two", "base")}
    assert pair_up(base, tuned) == {1: ("base", "one"), 2: ("base", "two")}
    assert pair_up(base, {0: "other"}) == {0: ("base", "other")}
    assert pair_up(tuned, {2: "b", 1: "a"}) == {1: ("one", "a"), 2: ("two", "b")}
    with pytest.raises(NeftError, match=r"the same seeds, got \[1, 2\] and \[1\]"):
        pair_up(tuned, {1: "a"})


@pytest.mark.parametrize("seeds", [3, 5])
def test_a_method_as_good_as_a_fixed_system_is_told_apart_as_often_as_the_level_says(seeds):
    draw, ps = np.random.default_rng(seeds), []
    for _ in range(1500):
        # The fixed system's rows differ from the method's by what is the rows' own.
        fixed = draw.normal(50, 12, 80)
        rest = draw.normal(0, 6, (seeds, 80)) + draw.normal(0, 2, (seeds, 1))
        method = [means(50 + one) for one in rest]
        ps.append(compare(method, [means(fixed)] * seeds, ratio).p)
    assert 0.025 < (np.array(ps) < 0.05).mean() < 0.07


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


def test_where_all_seeds_give_the_same_nothing_is_certain():
    """Two runs that reach a loss at the same two evaluations are no proof; eight of them are."""
    for seeds, p in ((2, 0.5), (3, 0.25), (8, 0.0078125)):
        found = over_seeds([np.log(0.1 * 3)] * seeds)
        assert (found.p, found.low, found.high) == (p, None, None)
        assert p == sign_test(seeds)
        assert equivalence(found, 2) == p / 2 and equivalence(found, 1) == 1
        assert (-found).value == -found.value and (-found).low is None


def test_runs_without_any_difference_are_not_yet_equivalent_methods():
    """Two methods that gave the same outputs with two seeds."""
    rows = np.random.default_rng(1).random((5, 1))
    found = compare([rows, rows], [rows, rows], lambda sums: sums[..., 0])
    assert (found.value, found.p, found.low) == (0, 1, None)
    assert equivalence(found, 1) == 0.25


def sign_test(seeds: int) -> float:
    """Two-sided, of equal signs."""
    return stats.binomtest(seeds, seeds).pvalue
