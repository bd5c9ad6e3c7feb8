from __future__ import annotations

import numpy as np
import pytest

from neft.errors import NeftError
from neft.scoring import significance
from neft.scoring.metrics import loss

SPEC = loss.Spec(kind="loss", bootstrap=200)
ROWS = [
    {"id": 0, "loss": 2.0, "tokens": 4, "right": 3},
    {"id": 1, "loss": 9.0, "tokens": 3, "right": 0},
    {"id": 2, "loss": 1.0, "tokens": 5, "right": 5},
]


def test_the_loss_is_that_of_a_token_and_not_of_a_row():
    score = loss.score(ROWS, SPEC, "fr")
    assert score.value == pytest.approx(12 / 12)
    assert score.segments == pytest.approx([0.5, 3.0, 0.2])
    assert score.details == {"token_accuracy": pytest.approx(100 * 8 / 12)}
    assert 0.2 <= score.low <= 1 <= score.high <= 3
    assert score.signature == "loss|n:3|tokens:12|mean|bs:200|seed:12345"


def test_lower_is_better_and_the_statistics_give_the_same_value():
    assert not loss.higher_is_better(SPEC)
    statistics = loss.statistics(ROWS, SPEC, "fr")
    assert float(loss.value(statistics.sum(axis=0), SPEC)) == pytest.approx(1)
    worse = statistics + [[1, 0]] * 3
    assert significance.compare(loss, SPEC, statistics, worse).value == pytest.approx(1)


def test_a_loss_that_is_no_number_and_no_rows_are_refused():
    with pytest.raises(NeftError, match="expected a finite number"):
        loss.score([*ROWS, {"id": 3, "loss": np.inf, "tokens": 1, "right": 0}], SPEC, "fr")
    for refused in (loss.score, loss.statistics):
        with pytest.raises(NeftError, match="at least one row"):
            refused([], SPEC, "fr")
