"""A grid that goes on where its best rate is at its edge."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neft.training.search import Trial, best, beyond

LOSSES = st.one_of(st.none(), st.just(math.inf), st.floats(0.5, 5))


@pytest.mark.parametrize(
    ("losses", "further"),
    [
        ({"lr0.001": 2.0, "lr0.002": 1.0, "lr0.004": 1.5}, None),
        ({"lr0.001": 1.0, "lr0.002": 2.0, "lr0.004": 3.0}, "lr0.0005"),
        ({"lr0.001": 3.0, "lr0.002": 2.0, "lr0.004": 1.0}, "lr0.008"),
        # The ratio is that of the two rates at the edge, to three digits.
        ({"lr0.001": 3.0, "lr0.003": 2.0, "lr0.01": 1.0}, "lr0.0333"),
        # What diverged is worse; the order of the trials makes no difference.
        ({"lr0.002": 1.0, "lr0.004": None, "lr0.001": 2.0}, None),
        ({"lr0.004": math.nan, "lr0.002": 3.0, "lr0.001": 1.0}, "lr0.0005"),
        ({"lr0.001": None, "lr0.002": None}, None),
        ({"lr0.001": 1.0}, None),
        # Only rates with the best one's number of epochs stand beside it.
        (
            {"lr0.001-ep1": 2.0, "lr0.002-ep1": 3.0, "lr0.001-ep2": 1.5, "lr0.002-ep2": 1.0},
            "lr0.004-ep2",
        ),
    ],
)
def test_a_trial_beyond_the_edge_follows_where_the_best_is_at_it(
    losses: dict[str, float | None], further: str | None
) -> None:
    found = beyond(losses)
    assert (found.name if found else None) == further


def test_a_search_ends_when_the_best_has_a_worse_rate_on_either_side() -> None:
    """Of a loss that is lowest at 0.03, from a grid far below it."""
    losses: dict[str, float | None] = {
        trial.name: abs(math.log(trial.rate / 0.03)) for trial in (Trial(0.001), Trial(0.002))
    }
    added = 0
    while further := beyond(losses):
        losses[further.name] = abs(math.log(further.rate / 0.03))
        added += 1
    assert added == 5 and best(losses) == "lr0.032"


@given(st.dictionaries(st.sampled_from(["lr0.001", "lr0.002", "lr0.004"]), LOSSES, min_size=1))
def test_what_is_added_is_new_and_next_to_the_best(losses: dict[str, float | None]) -> None:
    further = beyond(losses)
    if further:
        rates = [Trial.of(name).rate for name in losses]
        assert further.name not in losses
        assert further.rate < min(rates) or further.rate > max(rates)
        chosen = best(losses)
        assert chosen and Trial.of(chosen).rate in (min(rates), max(rates))


@given(st.floats(1e-7, 1), st.one_of(st.none(), st.floats(0.1, 9)))
def test_a_name_says_the_values_as_far_as_it_shows_them(rate: float, epochs: float | None) -> None:
    read = Trial.of(Trial(rate, epochs).name)
    assert read.rate == pytest.approx(rate, rel=1e-5)
    assert read.epochs == (None if epochs is None else pytest.approx(epochs, rel=1e-5))
    assert Trial.of(read.name) == read


def test_if_all_diverged_there_is_no_best() -> None:
    assert best({"lr1": None, "lr2": math.inf}) is None
