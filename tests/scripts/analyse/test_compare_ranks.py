from __future__ import annotations

import csv

import pytest

import ranked
from neft.storage.files import read_json
from scripts.analyse import compare_ranks


def test_a_row_for_every_pair_seed_and_bucket_and_one_for_all(tmp_path):
    arguments = ranked.with_options(ranked.write(tmp_path, seeds=(1, 2)), buckets=[3, 50])
    compare_ranks.main(
        [*arguments, "--json", str(tmp_path / "r.json"), "--csv", str(tmp_path / "r.csv")]
    )
    found = read_json(tmp_path / "r.json")
    assert found["neurons"] == 600
    assert [
        (p["a"], p["b"], p["seed"], [b["neurons"] for b in p["buckets"]]) for p in found["pairs"]
    ] == [
        ("base", "neft", 1, [18, 282, 300]),
        ("base", "neft", 2, [18, 282, 300]),
    ]
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["low"], row["high"]) for row in rows[:4]] == [
        *(("1", low, high) for low, high in (("0", "3"), ("3", "50"), ("50", "100"), ("0", "100")))
    ]
    whole = found["pairs"][0]
    assert float(rows[3]["mean"]) == whole["mean"]
    assert whole["mean"] == pytest.approx(
        sum(b["mean"] * b["neurons"] for b in whole["buckets"]) / 600
    )
    assert (
        0 < whole["mean"] < whole["unrelated"] == pytest.approx(200, rel=0.01)
    )  # a third of the neurons
