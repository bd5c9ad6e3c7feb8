"""Near duplicates, against comparing every text with every other."""

from __future__ import annotations

import random

import pytest

from neft.data import near
from neft.data.pool import Filter, cut, make_pool
from neft.data.tasks import translation
from neft.errors import NeftError


def texts(count: int, seed: int = 1) -> list[str]:
    """Short sentences of few words, many of which are alike."""
    draw = random.Random(seed)
    words = [
        "open",
        "close",
        "the",
        "a",
        "file",
        "window",
        "all",
        "tabs",
        "save",
        "new",
        "in",
        "this",
    ]
    return [" ".join(draw.choices(words, k=draw.randint(2, 7))) for _ in range(count)]


@pytest.mark.parametrize("share", [0.3, 0.5, 0.66, 0.8, 1.0])
def test_no_pair_is_overlooked(share):
    some, others = texts(120), texts(150, seed=2)
    wanted = {
        (one, other)
        for one, first in enumerate(some)
        for other, second in enumerate(others)
        if near.similarity(first.split(), second.split()) >= share
    }
    assert set(near.pairs(some, others, share)) == wanted
    assert near.with_one_in(some, others, share) == len({one for one, _ in wanted})


def test_similarity_counts_words_as_often_as_they_stand():
    assert near.similarity(["a", "a", "b"], ["a", "b", "b"]) == pytest.approx(2 / 4)
    assert near.similarity(["a"], ["a"]) == 1
    assert near.similarity([], []) == 0


def test_case_and_edges_make_no_difference_and_texts_without_spaces_are_compared_by_characters():
    assert near.with_one_in(["Open the File…"], ["open the file"], 1) == 1
    assert near.with_one_in(["打开新文件夹"], ["打开文件夹"], 0.8) == 1
    assert near.with_one_in(["打开新文件夹"], ["全部保存"], 0.3) == 0


def test_groups_are_chains():
    chain = ["a b c d", "b c d e", "c d e f", "x y z"]  # 3 of 5 words each, first and third 2 of 6
    assert near.groups(chain, 0.6) == [0, 0, 0, 3]
    assert near.groups(chain, 0.61) == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_in_two_splits(seed):
    some = texts(300, seed=10 + seed)
    rows, counts = make_pool(
        [{"source": text, "target": "x"} for text in some],
        translation,
        Filter(),
        seed,
        lambda rows: near.groups([row["source"] for row in rows], 0.8),
    )
    assert [row["id"] for row in rows] == list(range(counts["kept"]))
    sizes = {"dev": 20, "train": 60, "skip": 10}
    splits = {
        "train": cut(rows, "train", {"train": 60, "skip": 10}, "pool"),
        "dev": cut(rows, "dev", sizes, "pool"),
        "test": cut(rows, "test", {"test": 30, **sizes}, "pool"),
    }
    assert {name: len(found) for name, found in splits.items()} == {
        "train": 60,
        "dev": 20,
        "test": 30,
    }
    sources = {name: [row["source"] for row in found] for name, found in splits.items()}
    for one, other in (("test", "train"), ("test", "dev"), ("dev", "train")):
        assert near.with_one_in(sources[one], sources[other], 0.8) == 0
    # A larger test set moves no row of the others, a larger training set holds the smaller.
    assert cut(rows, "test", {"test": 40, **sizes}, "pool")[:30] == splits["test"]
    larger = cut(rows, "train", {"train": 80, "skip": 10}, "pool")
    assert larger[-60:] == splits["train"]


def test_too_few_rows_outside_of_groups_are_an_error():
    rows = [{"id": n, "group": n // 10} for n in range(40)]
    sizes = {"dev": 5, "train": 15}  # train takes 25 … 39, so dev ends before 20
    assert [row["id"] for row in cut(rows, "dev", sizes, "pool")] == [15, 16, 17, 18, 19]
    assert len(cut(rows, "test", {"test": 10, **sizes}, "pool")) == 10
    with pytest.raises(
        NeftError, match="40 rows, only 10 of them in no group with rows of another"
    ):
        cut(rows, "test", {"test": 11, **sizes}, "pool")
    with pytest.raises(NeftError, match=r"only 20 of them .* 21 dev = 21 are asked for"):
        cut(rows, "dev", {"dev": 21, "train": 15}, "pool")
