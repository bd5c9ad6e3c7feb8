"""Paired tests over seeds, and their correction."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neft.errors import NeftError
from neft.paper import paired
from neft.results.runs import Run, pairs_file, paths


def run(method: str, seed: int = 1) -> Run:
    return Run(
        "m", "d", method, "neft", seed, "t", ("bleu",), () if method == "full" else ("bleu",)
    )


def write(path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def test_seeds_that_agree_have_the_largest_p_and_those_that_do_not_have_one():
    assert paired.Paired((1, 2), (0.5, 1.5), (0.01, 0.03)).p == 0.03
    assert paired.Paired((1, 2), (0.5, -0.1), (0.01, 0.03)).p == 1.0
    assert paired.Paired((1,), (0.0,), (1.0,)).p == 1.0


def test_a_test_is_found_in_either_order_and_against_the_baseline_in_its_own_file(tmp_path):
    pair = {"first": "neft", "second": "lora", "first_value": 30.0, "second_value": 28.0, "p": 0.02}
    for seed in (1, 2):
        write(pairs_file(tmp_path, run("neft", seed), "bleu"), {"pairs": [pair]})
        write(
            paths(tmp_path, run("neft", seed)).comparisons["bleu"],
            {"value": 30.0, "baseline_value": 31.0, "p": 0.5},
        )
    neft, lora, full = ([run(name, seed) for seed in (1, 2)] for name in ("neft", "lora", "full"))
    assert paired.compare(tmp_path, neft, lora, "bleu", "full").differences == (2.0, 2.0)
    assert paired.compare(tmp_path, lora, neft, "bleu", "full").difference == -2.0
    assert paired.compare(tmp_path, neft, full, "bleu", "full").difference == -1.0
    assert paired.compare(tmp_path, full, neft, "bleu", "full").difference == 1.0
    with pytest.raises(NeftError, match="neft and embed were not compared"):
        paired.compare(tmp_path, neft, [run("embed")], "bleu", "full")
    with pytest.raises(NeftError, match="no seed in common"):
        paired.compare(tmp_path, neft, [run("lora", 3)], "bleu", "full")


def test_holm_is_as_he_published_it():
    assert paired.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert paired.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_corrected_ps_keep_their_order_and_are_between_the_plain_ones_and_bonferronis(ps):
    corrected = paired.holm(ps)
    assert all(p <= c <= min(1.0, len(ps) * p) + 1e-12 for p, c in zip(ps, corrected, strict=True))
    order = sorted(range(len(ps)), key=lambda place: ps[place])
    assert [corrected[place] for place in order] == sorted(corrected)
