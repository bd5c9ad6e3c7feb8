"""Rows that say nothing of the task."""

from __future__ import annotations

import pytest

from neft.data.encode import IGNORED
from neft.training.controls import replaced

ROWS = [
    {
        "input_ids": [1, 2, 10 + n, *range(20, 22 + n)],
        "labels": [IGNORED] * 3 + [*range(20, 22 + n)],
    }
    for n in range(9)
]


def test_noise_keeps_lengths_and_what_is_learned_and_no_token():
    pool = range(100, 200)
    found = replaced("noise", ROWS, pool, seed=1)
    for row, one in zip(ROWS, found, strict=True):
        assert len(one["input_ids"]) == len(row["input_ids"])
        assert set(one["input_ids"]) <= set(pool)
        assert [n for n, label in enumerate(one["labels"]) if label != IGNORED] == [
            n for n, label in enumerate(row["labels"]) if label != IGNORED
        ]
        assert all(
            label in (IGNORED, token)
            for label, token in zip(one["labels"], one["input_ids"], strict=True)
        )
    assert found == replaced("noise", ROWS, pool, seed=1) != replaced("noise", ROWS, pool, seed=2)


def test_shuffled_keeps_prompts_and_gives_each_another_rows_answer():
    def answer(row):
        return tuple(label for label in row["labels"] if label != IGNORED)

    found = replaced("shuffled", ROWS, (), seed=1)
    assert [one["input_ids"][:3] for one in found] == [row["input_ids"][:3] for row in ROWS]
    assert all(one["input_ids"][3:] == list(answer(one)) for one in found)
    assert sorted(map(answer, found)) == sorted(map(answer, ROWS))
    assert all(answer(one) != answer(row) for one, row in zip(found, ROWS, strict=True))


@pytest.mark.parametrize("control", ["noise", "shuffled"])
def test_the_rows_given_stay_as_they_are(control):
    before = [dict(row) for row in ROWS]
    replaced(control, ROWS, range(5), seed=1)
    assert before == ROWS
