"""Comparisons of methods, read back from their file."""

from __future__ import annotations

import pytest

from neft.errors import NeftError
from neft.results import comparisons
from neft.results.runs import Group
from neft.scoring.methods import Difference
from neft.scoring.pairs import Pair, SeedScores
from neft.storage import files

GROUP = Group("m", "d", "t", {})
PAIR = Pair(
    first="neft",
    second="full",
    difference=Difference(2.0, -1.0, 5.0, 0.1, 2, 80, 1.2, 3.4),
    run_p=None,
    runs=(SeedScores(seed=1, first=30, second=29), SeedScores(seed=2, first=33, second=30)),
    signature="s",
)
PATH = "compare/m/d/t/chrf.json"


def write(root, *pairs):
    content = {"metric": "chrf", "pairs": [pair.model_dump(mode="json") for pair in pairs]}
    (root / PATH).parent.mkdir(parents=True)
    files.write_json(root / PATH, files.seal(content))


def test_a_pair_is_found_in_either_order(tmp_path):
    write(tmp_path, PAIR)
    found = comparisons.load(tmp_path, GROUP, "chrf")
    assert found.between("neft", "full") == PAIR
    turned = found.between("full", "neft")
    assert (turned.first, turned.second) == ("full", "neft")
    assert (turned.difference.value, turned.difference.low, turned.difference.high) == (-2, -5, 1)
    assert [(one.seed, one.first, one.second) for one in turned.runs] == [(1, 29, 30), (2, 30, 33)]
    assert turned.turned() == PAIR


def test_p_is_that_of_methods_or_with_one_seed_of_two_runs():
    assert (PAIR.p, PAIR.one_seed) == (0.1, False)
    alone = Difference(2.0, -1.0, 5.0, None, 1, 80, 1.2, 79)
    runs = PAIR.model_copy(update={"difference": alone, "run_p": 0.04})
    assert (runs.p, runs.one_seed) == (0.04, True)


def test_what_was_not_compared_or_has_another_form_is_named(tmp_path):
    write(tmp_path, PAIR)
    found = comparisons.load(tmp_path, GROUP, "chrf")
    with pytest.raises(NeftError, match=r"chrf\.json: neft and lora were not compared"):
        found.between("neft", "lora")
    files.write_json(tmp_path / PATH, files.seal({"pairs": [{"first": "neft"}]}))
    with pytest.raises(NeftError, match=r"chrf\.json: not a comparison of methods: 0\.second"):
        comparisons.load(tmp_path, GROUP, "chrf")
