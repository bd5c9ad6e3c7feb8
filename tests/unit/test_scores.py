from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from neft.errors import NeftError
from neft.metrics import bleu, chrf

BLEU = bleu.Spec(kind="bleu", bootstrap=300).model_dump(mode="json")
CHRF = chrf.Spec(kind="chrf", bootstrap=100).model_dump(mode="json")
REFERENCES = [target for _, target in tiny.pairs()]


def noisy(share: float, seed: int) -> list[str]:
    pick = random.Random(seed)
    return [" ".join(word if pick.random() > share else "mot" for word in text.split()) for text in REFERENCES]


@pytest.mark.parametrize(("metric", "spec"), [(bleu, BLEU), (chrf, CHRF | {"bootstrap": 300})])
def test_a_clear_difference_is_significant_and_chance_is_not(metric, spec):
    clear = metric.paired(noisy(0.1, 1), noisy(0.6, 2), REFERENCES, spec, "fr")
    chance = metric.paired(noisy(0.4, 1), noisy(0.4, 2), REFERENCES, spec, "fr")
    assert clear.value > clear.baseline_value and clear.p < 0.01
    assert chance.p > 0.05


@pytest.mark.parametrize(("metric", "spec"), [(bleu, BLEU), (chrf, CHRF)])
def test_identical_systems_are_no_evidence_of_a_difference(metric, spec):
    # sacrebleu itself reports its smallest p for these.
    outputs = noisy(0.4, 1)
    result = metric.paired(outputs, list(outputs), REFERENCES, spec, "fr")
    assert result.value == result.baseline_value and result.p == 1


def test_both_directions_of_a_comparison_have_the_same_p():
    first, second = noisy(0.3, 1), noisy(0.5, 2)
    forth, back = (bleu.paired(*pair, REFERENCES, BLEU, "fr") for pair in [(first, second), (second, first)])
    assert (forth.value, forth.baseline_value, forth.p) == (back.baseline_value, back.value, back.p)


def test_the_paired_signature_names_the_resamples_and_the_seed():
    assert bleu.paired(noisy(0.3, 1), noisy(0.5, 2), REFERENCES, BLEU, "fr").signature.startswith("nrefs:1|bs:300|seed:12345|")


def test_a_seed_in_the_environment_changes_nothing_and_stays(monkeypatch):
    expected = chrf.score(noisy(0.3, 1), REFERENCES, CHRF, "fr")
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    assert chrf.score(noisy(0.3, 1), REFERENCES, CHRF, "fr") == expected
    assert os.environ["SACREBLEU_SEED"] == "7"


@pytest.mark.parametrize(
    ("outputs", "references", "message"),
    [
        ([], [], "at least one output, got 0 and 0"),
        (["a"], ["a", "b"], "got 1 and 2"),
        (["a", None], ["a", "b"], "output 2 of 2: expected text, got None"),
        (["a"], [3], "reference 1 of 1: expected text, got 3"),
    ],
)
def test_texts_that_are_missing_or_do_not_pair_up_are_refused(outputs, references, message):
    with pytest.raises(NeftError, match=message):
        chrf.score(outputs, references, CHRF, "fr")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.text(min_size=1, max_size=20)), min_size=1, max_size=8))
def test_any_text_gets_scores_between_0_and_100(pairs):
    outputs, references = [output for output, _ in pairs], [reference for _, reference in pairs]
    for metric, spec in ((bleu, BLEU | {"bootstrap": 100}), (chrf, CHRF)):
        result = metric.score(outputs, references, spec, "fr")
        assert all(0 <= number <= 100 for number in [result.value, result.low, result.high, *result.segments])
        assert result.low <= result.high and len(result.segments) == len(pairs)
