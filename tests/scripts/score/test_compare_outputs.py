from __future__ import annotations

import json

import pytest

import tiny
from neft.errors import NeftError
from neft.storage import files
from scripts.score import compare_outputs

REFERENCES = [target for _, target in tiny.pairs()]


def rows(outputs):
    return [
        {"id": n, "reference": r, "output": o}
        for n, (r, o) in enumerate(zip(REFERENCES, outputs, strict=False))
    ]


GOOD, BAD = rows(REFERENCES), rows(["mot"] * len(REFERENCES))


def compare(tmp_path, outputs, baseline):
    files.write_rows(tmp_path / "ours.jsonl", outputs)
    files.write_rows(tmp_path / "baseline.jsonl", baseline)
    spec = {
        "metric": {"kind": "chrf", "word_order": 2, "bootstrap": 100},
        "language": "fr",
        "baseline": "full",
        "baseline_run": {"dataset": "demo", "seed": 1},
    }
    paths = [
        "--outputs",
        str(tmp_path / "ours.jsonl"),
        "--baseline",
        str(tmp_path / "baseline.jsonl"),
    ]
    compare_outputs.main(
        ["--spec", json.dumps(spec), *paths, "--comparison", str(tmp_path / "comparison.json")]
    )
    return files.read_json(tmp_path / "comparison.json")


def test_writes_both_scores_and_a_small_p_for_a_clear_difference(tmp_path):
    result = compare(tmp_path, GOOD, BAD)
    assert list(result) == [
        "metric",
        "baseline",
        "baseline_run",
        "value",
        "baseline_value",
        "p",
        "signature",
        "sha256",
    ]
    assert (result["metric"], result["baseline"], result["value"]) == ("chrf", "full", 100)
    assert result["baseline_run"] == {"dataset": "demo", "seed": 1}
    assert result["baseline_value"] < 20 and result["p"] == pytest.approx(1 / 10001)


def test_the_baseline_against_itself_differs_by_nothing(tmp_path):
    assert compare(tmp_path, BAD, BAD)["p"] == 1


def test_different_numbers_of_rows_are_refused(tmp_path):
    with pytest.raises(NeftError, match=r"ours\.jsonl has 59 rows but .*baseline\.jsonl has 60"):
        compare(tmp_path, GOOD[:-1], BAD)


def test_rows_in_another_order_are_refused(tmp_path):
    with pytest.raises(
        NeftError, match=r"row 2: id is 1 in .*ours\.jsonl but 2 in .*baseline\.jsonl"
    ):
        compare(tmp_path, GOOD, [BAD[0], BAD[2], BAD[1], *BAD[3:]])


def test_other_references_are_refused(tmp_path):
    with pytest.raises(NeftError, match=r"row 1: reference is .* it must be the same"):
        compare(tmp_path, GOOD, [BAD[0] | {"reference": "autre"}, *BAD[1:]])
