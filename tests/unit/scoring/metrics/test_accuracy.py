from __future__ import annotations

import pytest

from neft.errors import NeftError
from neft.scoring.metrics import accuracy

SPEC = accuracy.Spec(kind="accuracy")


def rows(*outputs: str, reference: str = "yes", **more: object) -> list[dict[str, object]]:
    return [
        {"id": n, "output": output, "reference": reference, **more}
        for n, output in enumerate(outputs)
    ]


def test_the_share_of_right_answers_with_its_interval():
    """8 of 10: Wilson's interval by hand, (0.8 + 0.19207 ± 1.95996 · √(0.016 + 0.0096036)) /
    1.38415.
    """
    score = accuracy.score(rows(*["yes"] * 8, "no", "no"), SPEC, "en")
    assert score.value == 80
    assert (score.low, score.high) == (
        pytest.approx(49.016, abs=1e-3),
        pytest.approx(94.332, abs=1e-3),
    )
    assert score.segments == [100.0] * 8 + [0.0] * 2
    assert score.standard_error == pytest.approx(13.333, abs=1e-3)  # 100 · √(0.8 · 0.2 / 9)
    assert score.signature == "accuracy|n:10|answers:generated|interval:wilson"
    assert score.notes == []


def test_answers_that_could_not_be_read_are_wrong_and_counted():
    score = accuracy.score(rows("yes", "", "no", ""), SPEC, "en")
    assert (score.value, score.details) == (25, {"unreadable": 50})
    assert score.notes == ["2 of 4 answers were none of the allowed ones and count as wrong"]


def test_the_signature_tells_likelihoods_from_text():
    score = accuracy.score(rows("yes", scores={"yes": -0.1, "no": -2.0}), SPEC, "en")
    assert "answers:likelihood" in score.signature
    assert score.standard_error is None


@pytest.mark.parametrize("right, low, high", [(0, 0.0, 27.753), (10, 72.247, 100.0)])
def test_none_and_all_right_have_an_interval_that_reaches_the_end(right, low, high):
    score = accuracy.score(rows(*["yes"] * right, *["no"] * (10 - right)), SPEC, "en")
    assert (score.low, score.high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))


def test_the_interval_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    for right, n in [(0, 1), (1, 1), (3, 17), (830, 2490), (2489, 2490)]:
        theirs = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
        assert accuracy.wilson(right, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_nothing_to_score_is_an_error():
    with pytest.raises(NeftError, match="at least one output"):
        accuracy.score([], SPEC, "en")
