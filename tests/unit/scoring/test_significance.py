"""Two runs: every p against an independent one (scipy, sacrebleu), every score against its library's."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import tiny
from neft import plugins
from neft.errors import NeftError
from neft.scoring import significance
from neft.scoring.score import ratio
from neft.scoring.significance import mcnemar, swaps

REFERENCES = [target for _, target in tiny.pairs()]
METRICS = {
    "bleu": {"kind": "bleu"},
    "chrf++": {"kind": "chrf"},
    "chrf": {"kind": "chrf", "word_order": 0},
}


def noisy(share, seed, references=REFERENCES):
    pick = random.Random(seed)
    return tiny.output_rows(
        [
            " ".join(word if pick.random() > share else "mot" for word in text.split())
            for text in references
        ],
        references,
    )


def compare(block, rows, baseline, language="fr"):
    metric, spec = plugins.load("metrics", block["kind"]), plugins.settings("metrics", block)
    first, second = (metric.statistics(one, spec, language) for one in (rows, baseline))
    return significance.compare(metric, spec, first, second)


def named(block):
    return significance.name_of(plugins.settings("metrics", block))


def means(values):
    return np.stack([np.asarray(values, dtype=np.float64), np.ones(len(values))], axis=1)


def library(block):
    import sacrebleu

    if block["kind"] == "bleu":
        return sacrebleu.BLEU(tokenize="13a")
    return sacrebleu.CHRF(word_order=block.get("word_order", 2))


TEXT = st.text(st.sampled_from("abc é."), max_size=16)


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_the_score_of_summed_statistics_is_sacrebleus(name, texts):
    outputs, references = zip(*texts, strict=True)
    block = METRICS[name]
    metric, spec = plugins.load("metrics", block["kind"]), plugins.settings("metrics", block)
    found = metric.statistics(tiny.output_rows(outputs, references), spec, "fr")
    wanted = library(block).corpus_score(list(outputs), [list(references)]).score
    assert metric.value(found.sum(axis=0), spec) == pytest.approx(wanted, abs=1e-9)
    # whatever is stacked is scored one by one
    stacked = metric.value(np.stack([found.sum(axis=0), 0 * found[0]]), spec)
    assert stacked == pytest.approx([wanted, 0], abs=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_p_of_corpus_scores_is_that_of_sacrebleus_approximate_randomisation(name):
    from sacrebleu.significance import PairedTest

    ours, theirs = noisy(0.3, 1), noisy(0.4, 2)
    result = compare(METRICS[name], ours, theirs)
    systems = [(n, [row["output"] for row in rows]) for n, rows in (("b", theirs), ("a", ours))]
    test = PairedTest(
        systems, {"it": library(METRICS[name])}, [REFERENCES], test_type="ar", n_samples=4000
    )
    signatures, results = test()
    base, system = results[next(iter(signatures))]
    assert (result.value, result.baseline_value) == pytest.approx((system.score, base.score))
    # Both draw their own swaps: four standard errors of the difference of two shares.
    error = (system.p_value * (1 - system.p_value) * (1 / 4000 + 1 / 10000)) ** 0.5
    assert 0.001 < system.p_value < 0.999
    assert result.p == pytest.approx(system.p_value, abs=4 * error)


@pytest.mark.parametrize("rows", [2, 7, 11])
def test_few_rows_are_swapped_in_every_way(rows):
    draw = np.random.default_rng(rows)
    first, second = draw.normal(50, 10, (2, rows))
    wanted = stats.permutation_test(
        (first, second), lambda a, b: np.mean(a - b), permutation_type="samples", vectorized=False
    )
    assert swaps(means(first), means(second), ratio) == pytest.approx(wanted.pvalue)


def test_many_rows_are_swapped_at_random():
    draw = np.random.default_rng(1)
    first, second = draw.normal(50, 10, 60), draw.normal(52, 10, 60)
    wanted = stats.permutation_test(
        (first, second),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20000,
        rng=np.random.default_rng(2),
    ).pvalue
    assert swaps(means(first), means(second), ratio) == pytest.approx(wanted, abs=0.02)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemars_p_is_the_exact_binomial_tests(better, worse):
    wanted = stats.binomtest(better, better + worse, 0.5).pvalue if better + worse else 1.0
    assert mcnemar(better, worse) == pytest.approx(wanted, rel=1e-9)


def test_right_and_wrong_answers_are_compared_by_mcnemars_test():
    """Six better, one worse: 2 · (1 + 7) / 2⁷ = 0.125, which trying all swaps gives as well."""
    ours, theirs = (
        [{"output": output, "reference": "yes"} for output in text.split()]
        for text in ("yes yes yes yes yes yes yes yes yes no", "no no no no no no yes yes yes yes")
    )
    result = compare({"kind": "accuracy"}, ours, theirs)
    assert (result.value, result.baseline_value, result.p) == (90, 40, 0.125)
    assert named({"kind": "accuracy"}) == "test:mcnemar-exact"
    uneven = means([100.0] * 9 + [0.0]), means([0.0] * 5 + [1e-6] + [100.0] * 4)
    assert swaps(*uneven, ratio) == pytest.approx(0.125)


@pytest.mark.parametrize(
    "block", [*METRICS.values(), {"kind": "rouge"}, {"kind": "rouge", "type": "rouge1"}]
)
def test_clear_differences_are_told_apart_and_equal_systems_are_not(block):
    clear = compare(block, noisy(0.1, 1), noisy(0.6, 2))
    assert clear.value > clear.baseline_value and clear.p == 1 / 10001
    assert compare(block, noisy(0.4, 1), noisy(0.4, 2)).p > 0.05
    # sacrebleu itself reports its smallest p for a system and itself.
    assert compare(block, noisy(0.4, 1), noisy(0.4, 1)).p == 1


def test_answers_that_follow_more_instructions_are_told_apart():
    rows = [{"id": n, "strict": [n % 4 != 0, True]} for n in range(100)]
    worse = [{"id": n, "strict": [n % 4 == 1, True]} for n in range(100)]
    for level in ("prompt", "instruction"):
        block = {"kind": "ifeval", "level": level}
        assert compare(block, rows, rows).p == 1
        better = compare(block, rows, worse)
        assert better.value > better.baseline_value and better.p < 1e-4
    # Prompts weigh as many instructions as they have.
    some = compare(block, [{"strict": [True] * 3}, {"strict": [False]}], rows[:2])
    assert some.value == 75


def test_both_directions_of_a_comparison_have_the_same_p():
    pair = noisy(0.3, 1), noisy(0.35, 2)
    forth, back = compare(METRICS["bleu"], *pair), compare(METRICS["bleu"], *pair[::-1])
    assert (forth.value, forth.baseline_value, forth.p) == (back.baseline_value, back.value, back.p)


def test_the_seed_and_the_number_of_swaps_are_the_configurations():
    pair, block = (noisy(0.3, 1), noisy(0.35, 2)), METRICS["chrf"]
    first, again, other = (compare(block | {"seed": seed}, *pair) for seed in (1, 1, 2))
    assert first == again and first.p != other.p
    assert named(block | {"seed": 1}) == "test:swaps|trials:10000|seed:1"
    assert compare(block | {"trials": 500}, noisy(0.1, 1), noisy(0.6, 2)).p == 1 / 501


@pytest.mark.parametrize(
    ("second", "message"), [([1.0], "got 2 and 1"), ([1.0, float("nan")], "finite numbers")]
)
def test_scores_that_do_not_pair_up_or_are_no_numbers_are_refused(second, message):
    with pytest.raises(NeftError, match=message):
        swaps(means([1.0, 2.0]), means(second), ratio)
