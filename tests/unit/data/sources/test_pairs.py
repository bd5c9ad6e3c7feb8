from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from neft.data.sources import pairs

SPEC = {
    "kind": "pairs",
    "of": {"kind": "files", "paths": "a.tsv"},
    "same": "yes",
    "other": "no",
    "seed": 1,
}
FIELDS = ("premise", "hypothesis", "label")


def join(translations: list[tuple[str, str]], seed: int = 1) -> tuple[list[tuple[str, ...]], dict]:
    rows = [{"first": first, "second": second} for first, second in translations]
    found, counts = pairs.join(pairs.Spec.model_validate(SPEC | {"seed": seed}), [rows], FIELDS)
    return [tuple(row[field] for field in FIELDS) for row in found], counts


@given(st.sets(st.integers(0, 10**6), min_size=0, max_size=40), st.integers(0, 5))
def test_half_keep_their_translation_and_no_text_occurs_twice(numbers, seed):
    translations = {f"text {n}": f"texte {n}" for n in numbers}
    found, counts = join(list(translations.items()), seed)
    assert sorted(first for first, _, _ in found) == sorted(translations)
    assert sorted(second for _, second, _ in found) == sorted(translations.values())
    assert all(
        (translations[first] == second) == (label == "yes") for first, second, label in found
    )
    yes = sum(label == "yes" for _, _, label in found)
    assert counts["labels"] == {"yes": yes, "no": len(found) - yes}
    if len(found) > 3:  # of three the one left over has no other to take a translation from
        assert yes - (len(found) - yes) in (0, 1)


def test_a_text_or_a_translation_that_comes_again_is_counted_and_left_out():
    found, counts = join([("a", "1"), ("b", "1"), ("a", "2"), ("c", ""), ("d", "4")])
    assert counts["of"] == {"read": 5, "empty": 1, "duplicate": 2}
    assert {first for first, _, _ in found} == {"a", "d"}


def test_the_seed_alone_decides_whatever_the_order():
    translations = [(f"text {n}", f"texte {n}") for n in range(20)]
    assert join(translations) == join(translations[::-1])
    assert join(translations) != join(translations, seed=2)


def test_labels_must_differ():
    with pytest.raises(ValidationError, match="must be different labels, got 'no' for both"):
        pairs.Spec.model_validate(SPEC | {"same": "no"})
