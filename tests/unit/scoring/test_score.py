from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from neft.errors import NeftError
from neft.scoring import score as scores
from neft.scoring.metrics import bleu, chrf

BLEU = bleu.Spec(kind="bleu", bootstrap=100)
CHRF = chrf.Spec(kind="chrf", bootstrap=100)
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


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=20), st.text(min_size=1, max_size=20)), min_size=1, max_size=8
    )
)
def test_any_text_gets_scores_between_0_and_100(pairs):
    given = tiny.output_rows(*zip(*pairs, strict=True))
    for metric, spec in ((bleu, BLEU), (chrf, CHRF)):
        result = metric.score(given, spec, "fr")
        assert all(
            0 <= number <= 100
            for number in [result.value, result.low, result.high, *result.segments]
        )
        assert result.low <= result.high and len(result.segments) == len(pairs)


def test_a_mean_of_segments_has_the_interval_of_its_resamples_and_the_standard_error_of_a_mean():
    result = scores.mean_score(
        [0.0, 50.0, 100.0, 50.0] * 25, "made-up", scores.Resampled(bootstrap=2000)
    )
    sd = (sum(x * x for x in (50, 0, 50, 0)) * 25 / 99) ** 0.5
    assert result.value == 50 and result.standard_error == pytest.approx(sd / 10)
    # For a hundred segments the percentiles are near the normal interval.
    assert (result.low, result.high) == (
        pytest.approx(50 - 1.96 * sd / 10, abs=1),
        pytest.approx(50 + 1.96 * sd / 10, abs=1),
    )
    assert result.signature == "made-up|mean|bs:2000|seed:12345"


def test_one_segment_has_no_standard_error():
    result = scores.mean_score([12.0], "made-up", scores.Resampled(bootstrap=100))
    assert (result.value, result.low, result.high, result.standard_error) == (12, 12, 12, None)


@pytest.mark.parametrize(
    ("segments", "message"),
    [([], "at least one output, got 0"), ([1.0, float("nan")], "score 2 of 2: .* got nan")],
)
def test_segments_that_are_no_numbers_are_refused(segments, message):
    with pytest.raises(NeftError, match=message):
        scores.mean_score(segments, "x", scores.Resampled())


def test_resampled_means_are_sacrebleus_resamples():
    import numpy as np

    ours = [random.Random(1).random() for _ in range(40)]
    draws = np.random.default_rng(7).choice(40, size=(200, 40), replace=True)
    low, high = np.percentile(np.array(ours)[draws].mean(axis=1), [2.5, 97.5])
    result = scores.mean_score(ours, "x", scores.Resampled(bootstrap=200, seed=7))
    assert (result.low, result.high) == (pytest.approx(low), pytest.approx(high))
    assert result.signature == "x|mean|bs:200|seed:7"
