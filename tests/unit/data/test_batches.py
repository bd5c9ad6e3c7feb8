"""Rows of a batch are shared by ranks, and divided into what fits, without losing or repeating
any.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neft.data import batches, encode
from neft.data.batches import LengthGrouped, Shares
from neft.data.encode import Example
from neft.errors import NeftError

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=200)


@given(
    lengths=LENGTHS, batch=st.integers(1, 17), seed=st.integers(0, 2**31), epoch=st.integers(0, 5)
)
def test_an_epoch_has_every_row_once(lengths: list[int], batch: int, seed: int, epoch: int):
    sampler = LengthGrouped(lengths, batch, seed)
    sampler.set_epoch(epoch)
    order = list(sampler)
    assert sorted(order) == list(range(len(lengths))) and order == list(sampler)


def test_batches_are_of_like_length_in_an_order_that_changes_with_seed_and_epoch():
    lengths = torch.randint(1, 100, (800,), generator=torch.Generator().manual_seed(0)).tolist()

    def padding(order: list[int]) -> int:
        batches = [[lengths[i] for i in order[start : start + 16]] for start in range(0, 800, 16)]
        return sum(max(batch) * len(batch) - sum(batch) for batch in batches)

    first = LengthGrouped(lengths, 16, seed=1)
    order = list(first)
    assert padding(order) < 0.25 * padding(list(range(800)))
    first.set_epoch(1)
    assert order != list(first) and order != list(LengthGrouped(lengths, 16, seed=2))
    means = [sum(lengths[i] for i in order[start : start + 16]) for start in range(0, 800, 16)]
    assert means != sorted(means) and means != sorted(means, reverse=True)


@given(
    lengths=LENGTHS,
    micro=st.integers(1, 5),
    passes=st.integers(1, 4),
    ranks=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_the_ranks_shares_are_the_batches_of_one_process(
    lengths: list[int], micro: int, passes: int, ranks: int, seed: int
):
    size = micro * ranks
    shares = [
        list(Shares(LengthGrouped(lengths, size * passes, seed), size, rank, ranks))
        for rank in range(ranks)
    ]
    order = list(LengthGrouped(lengths, size * passes, seed))
    assert {len(share) for share in shares} == {
        len(Shares(LengthGrouped(lengths, size, seed), size, 0, ranks))
    }
    for number, parts in enumerate(zip(*shares, strict=True)):
        assert sorted(row for part in parts for row in part) == sorted(
            order[number * size : (number + 1) * size]
        )
        assert max(map(len, parts)) - min(map(len, parts)) <= 1 and max(map(len, parts)) <= micro


@given(share=st.integers(1, 64), ranks=st.integers(1, 8), wanted=st.none() | st.integers(1, 64))
def test_a_rank_holds_a_divisor_of_its_share_no_larger_than_asked_for(
    share: int, ranks: int, wanted: int | None
):
    micro = batches.micro_batch(share * ranks, wanted, ranks)
    assert share % micro == 0 and micro <= (wanted or share)
    assert micro == share or all(
        share % larger for larger in range(micro + 1, min(wanted or share, share) + 1)
    )


def test_a_batch_that_the_ranks_cannot_share_is_refused():
    with pytest.raises(
        NeftError,
        match=r"training.batch_size: 7 rows can't be shared evenly by 2 ranks \(the job's `gpu`\)",
    ):
        batches.micro_batch(7, None, 2)


@given(lengths=st.lists(st.integers(1, 30), max_size=20), tokens=st.integers(1, 200))
def test_parts_of_a_batch_hold_every_row_once_and_no_more_tokens_than_allowed(
    lengths: list[int], tokens: int
):
    rows: list[Example] = [
        {"input_ids": [number] * n, "labels": [number] * n} for number, n in enumerate(lengths)
    ]
    parts = batches.parts(batches.collate(rows), tokens)
    assert torch.cat([part["input_ids"][:, 0] for part in parts]).tolist() == list(
        range(max(1, len(lengths)))
    )
    assert sum(int(part["lengths"].sum()) for part in parts) == sum(lengths)
    for part in parts:
        assert part["input_ids"].numel() <= tokens or len(part["lengths"]) == 1
        assert (
            part["input_ids"].shape
            == part["labels"].shape
            == (len(part["lengths"]), max(1, int(part["lengths"].max())))
        )


def test_a_batch_of_no_rows_has_nothing_to_learn_and_no_tokens():
    batch = batches.collate([])
    assert batch["lengths"].tolist() == [0] and batch["labels"].tolist() == [[encode.IGNORED]]
