from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from neft.errors import NeftError
from neft.scoring import scores
from neft.scoring.metrics import bleu, chrf

BLEU = bleu.Spec(kind="bleu", bootstrap=300).model_dump(mode="json")
CHRF = chrf.Spec(kind="chrf", bootstrap=100).model_dump(mode="json")
REFERENCES = [target for _, target in tiny.pairs()]


def noisy(share: float, seed: int) -> list[dict]:
    pick = random.Random(seed)
    return tiny.output_rows(
        [
            " ".join(word if pick.random() > share else "mot" for word in text.split())
            for text in REFERENCES
        ],
        REFERENCES,
    )


@pytest.mark.parametrize(("metric", "spec"), [(bleu, BLEU), (chrf, CHRF | {"bootstrap": 300})])
def test_a_clear_difference_is_significant_and_chance_is_not(metric, spec):
    clear = metric.paired(noisy(0.1, 1), noisy(0.6, 2), spec, "fr")
    chance = metric.paired(noisy(0.4, 1), noisy(0.4, 2), spec, "fr")
    assert clear.value > clear.baseline_value and clear.p < 0.01
    assert chance.p > 0.05


@pytest.mark.parametrize(("metric", "spec"), [(bleu, BLEU), (chrf, CHRF)])
def test_identical_systems_are_no_evidence_of_a_difference(metric, spec):
    # sacrebleu itself reports its smallest p for these.
    outputs = noisy(0.4, 1)
    result = metric.paired(outputs, list(outputs), spec, "fr")
    assert result.value == result.baseline_value and result.p == 1


def test_both_directions_of_a_comparison_have_the_same_p():
    first, second = noisy(0.3, 1), noisy(0.5, 2)
    forth, back = (bleu.paired(*pair, BLEU, "fr") for pair in [(first, second), (second, first)])
    assert (forth.value, forth.baseline_value, forth.p) == (back.baseline_value, back.value, back.p)


def test_the_paired_signature_names_the_resamples_and_the_seed():
    assert bleu.paired(noisy(0.3, 1), noisy(0.5, 2), BLEU, "fr").signature.startswith(
        "nrefs:1|bs:300|seed:12345|"
    )


def test_a_seed_in_the_environment_changes_nothing_and_stays(monkeypatch):
    expected = chrf.score(noisy(0.3, 1), CHRF, "fr")
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    assert chrf.score(noisy(0.3, 1), CHRF, "fr") == expected
    assert os.environ["SACREBLEU_SEED"] == "7"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "at least one output, got 0"),
        (
            [{"output": "a", "reference": "a"}, {"output": None, "reference": "b"}],
            "output 2 of 2: expected text, got None",
        ),
        ([{"output": "a", "reference": 3}], "reference 1 of 1: expected text, got 3"),
        ([{"output": "a"}], "reference 1 of 1: expected text, got None"),
    ],
)
def test_texts_that_are_missing_are_refused(given, message):
    with pytest.raises(NeftError, match=message):
        chrf.score(given, CHRF, "fr")


def test_systems_with_other_references_are_not_compared():
    with pytest.raises(NeftError, match="the same references"):
        chrf.paired(tiny.output_rows(["a"], ["a"]), tiny.output_rows(["a"], ["b"]), CHRF, "fr")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=20), st.text(min_size=1, max_size=20)), min_size=1, max_size=8
    )
)
def test_any_text_gets_scores_between_0_and_100(pairs):
    given = tiny.output_rows(*zip(*pairs, strict=True))
    for metric, spec in ((bleu, BLEU | {"bootstrap": 100}), (chrf, CHRF)):
        result = metric.score(given, spec, "fr")
        assert all(
            0 <= number <= 100
            for number in [result.value, result.low, result.high, *result.segments]
        )
        assert result.low <= result.high and len(result.segments) == len(pairs)


def test_a_mean_of_segments_has_the_interval_of_its_resamples_and_the_standard_error_of_a_mean():
    result = scores.mean([0.0, 50.0, 100.0, 50.0] * 25, "made-up", bootstrap=2000)
    sd = (sum(x * x for x in (50, 0, 50, 0)) * 25 / 99) ** 0.5
    assert result.value == 50 and result.standard_error == pytest.approx(sd / 10)
    # For a hundred segments the percentiles are near the normal interval.
    assert (result.low, result.high) == (
        pytest.approx(50 - 1.96 * sd / 10, abs=1),
        pytest.approx(50 + 1.96 * sd / 10, abs=1),
    )
    assert result.signature == "made-up|mean|bs:2000|seed:12345"


def test_one_segment_has_no_standard_error():
    result = scores.mean([12.0], "made-up", bootstrap=100)
    assert (result.value, result.low, result.high, result.standard_error) == (12, 12, 12, None)


def test_resampled_means_are_sacrebleus_resamples():
    import numpy as np

    ours, theirs = (
        [random.Random(1).random() for _ in range(40)],
        [random.Random(2).random() for _ in range(40)],
    )
    draws = np.random.default_rng(12345).choice(40, size=(200, 40), replace=True)
    means = [np.array(values)[draws].mean(axis=1) for values in (ours, theirs)]
    apart = means[0] - means[1]
    count = sum(abs(one) >= abs(np.mean(ours) - np.mean(theirs)) for one in apart - apart.mean())
    assert scores.paired_means(ours, theirs, "x", 200).p == (count + 1) / 201
    low, high = np.percentile(means[0], [2.5, 97.5])
    result = scores.mean(ours, "x", 200)
    assert (result.low, result.high) == (pytest.approx(low), pytest.approx(high))


def test_equal_systems_are_told_apart_as_often_as_the_level_says():
    """Both tests are two-sided: of pairs without a real difference some 5 % have p < 0.05, and not
    10 as with sacrebleu's p.
    """
    draw = random.Random(1)
    pairs = [[[draw.gauss(50, 10) for _ in range(60)] for _ in "ab"] for _ in range(400)]
    of_means = [scores.paired_means(*pair, "x", 200).p for pair in pairs]
    assert 0.03 < sum(p < 0.05 for p in of_means) / 400 < 0.08
    reference = ["le petit chat"] * 60
    outputs = [
        ["le petit chat" if one > 50 else "un chien" for one in segments]
        for pair in pairs[:120]
        for segments in pair
    ]
    rows = [tiny.output_rows(one, reference) for one in outputs]
    of_chrf = [chrf.paired(a, b, CHRF, "fr").p for a, b in zip(rows[::2], rows[1::2], strict=True)]
    assert 0.01 < sum(p < 0.05 for p in of_chrf) / 120 < 0.09


def test_means_that_differ_clearly_are_told_apart_and_equal_ones_are_not():
    low = [random.Random(1).gauss(50, 10) for _ in range(50)]
    assert scores.paired_means([x + 8 for x in low], low, "x", 1000).p == 1 / 1001
    assert scores.paired_means(low, list(low), "x", 1000).p == 1


@pytest.mark.parametrize(
    ("segments", "message"),
    [([], "at least one output, got 0"), ([1.0, float("nan")], "score 2 of 2: .* got nan")],
)
def test_segments_that_are_no_numbers_are_refused(segments, message):
    with pytest.raises(NeftError, match=message):
        scores.mean(segments, "x", 100)


def test_segments_that_do_not_pair_up_are_refused():
    with pytest.raises(NeftError, match="got 1 and 2"):
        scores.paired_means([1.0], [1.0, 2.0], "x", 100)
