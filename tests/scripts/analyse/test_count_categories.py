from __future__ import annotations

import csv

import numpy as np
import pytest

import ranked
from neft.analysis import ranking
from neft.storage.files import read_json
from scripts.analyse import count_categories


@pytest.mark.parametrize(
    "strong", [{"fraction": 0.1, "neurons": None}, {"neurons": 60, "fraction": None}]
)
def test_counts_are_those_of_the_rankings(tmp_path, strong):
    arguments = ranked.with_options(ranked.write(tmp_path), **strong)
    count_categories.main(
        [*arguments, "--json", str(tmp_path / "c.json"), "--csv", str(tmp_path / "c.csv")]
    )
    found = read_json(tmp_path / "c.json")
    pair = ranking.load_pair(tmp_path / "a1", tmp_path / "b1")
    fall = pair.second - pair.first
    free = np.tile(np.arange(100) >= 10, 6)
    counts = {
        "strong": abs(fall) > 60,
        "suppressed": fall > 60,
        "indirect": (abs(fall) > 60) & free,
    }
    assert (found["neurons"], found["threshold"]) == (600, 60)
    assert found["unrelated"] == pytest.approx(0.81 * 600, rel=0.01)
    assert found["pairs"] == [
        {"a": "base", "b": "neft", "seed": 1} | {key: int(v.sum()) for key, v in counts.items()}
    ]
    assert (
        0
        < found["pairs"][0]["suppressed"]
        < found["pairs"][0]["indirect"]
        < found["pairs"][0]["strong"]
    )
    with (tmp_path / "c.csv").open(newline="") as file:
        assert [row["strong"] for row in csv.DictReader(file)] == [str(found["pairs"][0]["strong"])]
