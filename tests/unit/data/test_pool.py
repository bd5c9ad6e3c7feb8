from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from neft.data.pool import REASONS, Filter, cut, likeness, make_pool
from neft.data.tasks import translation
from neft.errors import NeftError

PAIRS = SimpleNamespace(
    FIELDS=("premise", "hypothesis", "label"),
    OPTIONAL=frozenset({"premise"}),
    source=lambda row: f"{row['premise']}\n{row['hypothesis']}",
)
"""A task of two texts, one of which may be empty."""


def records(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"source": source, "target": target} for source, target in pairs]


def pool(*pairs: tuple[str, str], seed: int = 1, **options) -> tuple[list[dict], dict]:
    return make_pool(records(*pairs), translation, Filter(**options), seed)


def dropped(*pairs: tuple[str, str], **options) -> dict[str, int]:
    return {
        reason: count for reason, count in pool(*pairs, **options)[1]["dropped"].items() if count
    }


def test_outer_white_space_goes_and_rows_are_numbered():
    assert pool((" Yes ", "Oui\n"))[0] == [{"id": 0, "source": "Yes", "target": "Oui"}]


def test_empty_texts_are_always_dropped():
    assert dropped(("", "Oui"), ("Yes", " ")) == {"empty": 2}


def test_texts_of_several_lines_are_dropped_if_asked():
    pairs = ("Yes\nNo", "Oui"), ("Yes", "Oui\u2028Non")
    assert dropped(*pairs) == {}
    assert dropped(*pairs, one_line=True) == {"several lines": 2}


def test_only_sources_of_the_right_length_stay():
    pairs = [(" ".join("abcde"[:n]), "x") for n in range(1, 6)]
    rows, counts = pool(*pairs, min_words=2, max_words=4)
    assert sorted(len(row["source"].split()) for row in rows) == [2, 3, 4]
    assert counts == {
        "read": 5,
        "kept": 3,
        "dropped": dict.fromkeys(REASONS, 0) | {"too short": 1, "too long": 1},
    }


def test_rows_whose_answer_repeats_the_source_are_dropped_if_asked():
    assert dropped(("Zoom", "Zoom")) == {}
    assert dropped(("Zoom", " Zoom")) == {}
    assert dropped(("Zoom", " Zoom"), drop_identical=True) == {"identical": 1}


def test_the_first_of_several_like_sources_stays():
    rows, counts = pool(
        ("Go to Line", "1"), ("Go to line…", "2"), (" go  to line?", "3"), ("Go to lines", "4")
    )
    assert sorted(row["target"] for row in rows) == ["1", "4"]
    assert counts["dropped"]["duplicate"] == 2


def test_a_dropped_row_makes_no_other_a_duplicate():
    assert [row["target"] for row in pool(("Yes", ""), ("Yes", "Oui"))[0]] == ["Oui"]


@pytest.mark.parametrize(
    "one, other",
    [
        ("Open…", "open"),
        ("Open...", "Open"),
        ("«Open»", "'Open'"),
        ("Ｏｐｅｎ", "open"),
        ("保存。", "保存"),
    ],
)
def test_case_width_and_punctuation_around_a_text_make_no_difference(one, other):
    assert likeness(one) == likeness(other)


@pytest.mark.parametrize(
    "one, other",
    [("%1 of %2", "%2 of %1"), ("C++", "C#"), ("a.b", "ab"), ("...", "?"), ("नमस्ते", "नमस्ता")],
)
def test_what_differs_inside_a_text_makes_a_difference(one, other):
    assert likeness(one) != likeness(other)


def test_the_order_depends_on_the_seed_alone():
    pairs = [(f"sentence {n}", "x") for n in range(50)]
    forwards, backwards = pool(*pairs)[0], pool(*reversed(pairs))[0]
    assert forwards == backwards
    assert [row["source"] for row in forwards] != [row["source"] for row in pool(*pairs, seed=2)[0]]
    assert [row["source"] for row in forwards[:3]] == [
        "sentence 32",
        "sentence 7",
        "sentence 26",
    ]  # on every machine


def test_a_row_more_leaves_the_order_of_the_others():
    pairs = [(f"sentence {n}", "x") for n in range(50)]
    more = [row["source"] for row in pool(*pairs, ("another", "x"))[0]]
    more.remove("another")
    assert more == [row["source"] for row in pool(*pairs)[0]]


def test_a_task_of_several_inputs_counts_them_together():
    rows = [{"premise": "Same", "hypothesis": h, "label": "yes"} for h in ("One", "Two", "one")]
    assert make_pool(rows, PAIRS, Filter(), 1)[1]["dropped"]["duplicate"] == 1


def test_only_a_field_that_may_be_empty_may_be_empty():
    rows = [
        {"premise": "", "hypothesis": "One", "label": "yes"},
        {"premise": "Same", "hypothesis": "", "label": "yes"},
    ]
    assert make_pool(rows, PAIRS, Filter(), 1)[0] == [{"id": 0, **rows[0]}]


def test_a_filter_that_no_row_can_pass_is_refused():
    with pytest.raises(
        ValidationError, match=r"`max_words` \(3\) is below `min_words` \(5\): no row could be kept"
    ):
        Filter(min_words=5, max_words=3)


sizes = st.integers(1, 40)


@given(sizes, sizes, sizes, st.integers(0, 20), st.integers(1, 20))
def test_splits_are_exact_disjoint_and_untouched_by_the_size_of_test(train, dev, test, spare, more):
    rows = [{"id": n} for n in range(train + dev + test + spare)]

    def splits(test: int) -> dict[str, list[dict]]:
        return {
            "train": cut(rows, "train", {"train": train}, "pool"),
            "dev": cut(rows, "dev", {"dev": dev, "train": train}, "pool"),
            "test": cut(rows, "test", {"test": test, "reserved": train + dev}, "pool"),
        }

    made = splits(test)
    assert [len(made[name]) for name in ("train", "dev", "test")] == [train, dev, test]
    assert len({row["id"] for part in made.values() for row in part}) == train + dev + test
    if more <= spare:
        larger = splits(test + more)
        assert larger["train"] == made["train"] and larger["dev"] == made["dev"]
        assert larger["test"][:test] == made["test"]


@pytest.mark.parametrize(
    "split, asked, message",
    [
        ("test", {"test": 1000, "reserved": 1050}, "1,000 test + 1,050 reserved = 2,050"),
        ("dev", {"dev": 50, "train": 2000}, "50 dev + 2,000 train = 2,050"),
        ("train", {"train": 2000}, "2,000 train = 2,000"),
    ],
)
def test_more_rows_than_there_are_is_an_error_with_the_numbers(split, asked, message):
    with pytest.raises(NeftError) as error:
        cut([{"id": n} for n in range(1954)], split, asked, "pool.jsonl")
    end = "are asked for; ask for fewer in `splits` or loosen `filter`"
    assert str(error.value) == f"pool.jsonl: 1,954 rows, but {message} {end}"


def test_duplicates_stay_if_asked():
    rows, counts = pool(("Yes", "Oui"), ("yes", "Si"), drop_duplicates=False)
    assert sorted(row["target"] for row in rows) == ["Oui", "Si"]
    assert counts["dropped"]["duplicate"] == 0


def test_without_a_seed_rows_stay_in_the_order_of_the_source():
    pairs = [(f"sentence {n}", "x") for n in range(50)]
    rows, _ = make_pool(records(*pairs), translation, Filter(), None)
    assert [(row["id"], row["source"]) for row in rows] == [(n, f"sentence {n}") for n in range(50)]


@given(st.integers(1, 4), st.integers(1, 100), st.integers(0, 30))
def test_the_papers_training_sets_are_related_as_they_must_be(seed, small, spare):
    """The 100k set holds the 20k set, the separate 20k set shares no row with it, and no training
    row is ever a test row.
    """
    pairs = [(f"sentence {n}", "x") for n in range(5 * small + 10 + spare)]
    rows, _ = pool(*pairs, seed=seed)

    def train(count: int, skip: int = 0) -> set[str]:
        return {row["source"] for row in cut(rows, "train", {"train": count, "skip": skip}, "pool")}

    ours, larger, separate = train(small), train(5 * small), train(small, skip=small)
    assert (len(ours), len(larger), len(separate)) == (small, 5 * small, small)
    assert ours < larger and separate < larger
    assert not ours & separate
    test = {row["source"] for row in cut(rows, "test", {"test": 10, "reserved": 5 * small}, "pool")}
    assert not test & larger


def test_what_is_skipped_counts_as_asked_for():
    with pytest.raises(NeftError, match=r"^pool: 9 rows, but 5 train \+ 5 skip = 10 are asked for"):
        cut([{"id": n} for n in range(9)], "train", {"train": 5, "skip": 5}, "pool")
    with pytest.raises(
        NeftError, match=r"^pool: 9 rows, but 2 dev \+ 5 train \+ 5 skip = 12 are asked for"
    ):
        cut([{"id": n} for n in range(9)], "dev", {"dev": 2, "train": 5, "skip": 5}, "pool")


def test_dev_lies_just_before_train_when_rows_are_skipped():
    rows = [{"id": n} for n in range(20)]
    assert [row["id"] for row in cut(rows, "dev", {"dev": 2, "train": 5, "skip": 5}, "pool")] == [
        8,
        9,
    ]
    assert [row["id"] for row in cut(rows, "train", {"train": 5, "skip": 5}, "pool")] == [
        10,
        11,
        12,
        13,
        14,
    ]
