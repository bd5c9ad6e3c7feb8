from __future__ import annotations

import json
import random

import numpy as np
import pytest
from scipy import stats

import tiny
from neft.errors import NeftError
from neft.storage import files
from scripts.score import compare_methods

REFERENCES = [target for _, target in tiny.pairs()]


def answers(wrong, seed):
    """Output rows in which so large a share of words is wrong."""
    pick = random.Random(f"{wrong} {seed}")
    texts = [
        " ".join("mot" if pick.random() < wrong else word for word in text.split())
        for text in REFERENCES
    ]
    return tiny.output_rows(texts, REFERENCES)


def labels(right):
    """Output rows of a task of two labels."""
    return [
        {"id": n, "reference": "yes", "output": "yes" if one else "no"}
        for n, one in enumerate(right)
    ]


def compare(tmp_path, runs, pairs, metric=None):
    """runs: output rows by method and seed."""
    paths = []
    for (method, seed), rows in runs.items():
        paths.append(str(tmp_path / f"{method}{seed}.jsonl"))
        files.write_rows(paths[-1], rows)
    spec = {
        "metric": metric or {"kind": "chrf"},
        "language": "fr",
        "runs": list(runs),
        "pairs": pairs,
    }
    target = tmp_path / "comparison.json"
    arguments = ["--spec", json.dumps(spec), "--outputs", *paths, "--comparison", str(target)]
    compare_methods.main(arguments)
    found = files.read_json(target)
    files.check_seal(target, found)
    return found


def test_methods_are_told_apart_over_seeds_and_rows(tmp_path):
    shares = {"good": 0.2, "bad": 0.7}
    runs = {(m, seed): answers(share, seed) for m, share in shares.items() for seed in (1, 2, 3)}
    found = compare(tmp_path, runs, [["good", "bad"]])
    assert list(found) == ["metric", "pairs", "sha256"] and found["metric"] == "chrf"
    (pair,) = found["pairs"]
    difference, seeds = pair["difference"], pair["runs"]
    assert (pair["first"], pair["second"], difference["seeds"]) == ("good", "bad", 3)
    assert difference["rows"] == len(REFERENCES) and [one["seed"] for one in seeds] == [1, 2, 3]
    mean = np.mean([one["first"] - one["second"] for one in seeds])
    assert difference["value"] == pytest.approx(mean)
    assert difference["low"] < mean < difference["high"] and difference["low"] > 0
    assert difference["p"] < 0.05 and pair["run_p"] is None
    assert (
        pair["signature"].startswith("nrefs:1|") and "|test:crossed-t|seeds:3" in pair["signature"]
    )


def test_one_seed_is_two_runs_with_the_test_of_runs(tmp_path):
    right = np.random.default_rng(1).random((2, 40)) < [[0.8], [0.5]]
    runs = {("a", 1): labels(right[0]), ("b", 1): labels(right[1])}
    (pair,) = compare(tmp_path, runs, [["a", "b"]], {"kind": "accuracy"})["pairs"]
    assert pair["difference"]["p"] is None and pair["difference"]["seeds"] == 1
    better, worse = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    assert pair["run_p"] == pytest.approx(stats.binomtest(better, better + worse).pvalue)
    assert "mcnemar" in pair["signature"]
    wanted = stats.ttest_rel(100.0 * right[0], 100.0 * right[1]).confidence_interval(0.95)
    ends = pair["difference"]["low"], pair["difference"]["high"]
    assert ends == pytest.approx((wanted.low, wanted.high))


def test_the_untuned_model_meets_every_seed(tmp_path):
    runs = {("base", 0): answers(0.9, 0)} | {("neft", s): answers(0.3, s) for s in (1, 2)}
    pairs = compare(tmp_path, runs, [["base", "neft"], ["neft", "base"]])["pairs"]
    assert [[one["seed"] for one in pair["runs"]] for pair in pairs] == [[1, 2], [1, 2]]
    assert len({one["first"] for one in pairs[0]["runs"]}) == 1
    assert pairs[0]["difference"]["value"] == pytest.approx(-pairs[1]["difference"]["value"])


def test_rows_that_are_not_the_same_are_refused(tmp_path):
    runs = {("a", 1): answers(0.3, 1), ("b", 1): answers(0.3, 2)[:-1]}
    with pytest.raises(NeftError, match=r"a1\.jsonl has 60 rows but .*b1\.jsonl has 59"):
        compare(tmp_path, runs, [["a", "b"]])
    turned = answers(0.3, 2)[::-1]
    with pytest.raises(NeftError, match=r"row 1: id is 0 in .*a1\.jsonl but 59 in .*b1\.jsonl"):
        compare(tmp_path, runs | {("b", 1): turned}, [["a", "b"]])


def test_methods_of_different_seeds_are_refused(tmp_path):
    runs = {("a", 1): answers(0.3, 1), ("a", 2): answers(0.3, 2), ("b", 1): answers(0.3, 3)}
    with pytest.raises(NeftError, match=r"the same seeds, got \[1, 2\] and \[1\]"):
        compare(tmp_path, runs, [["a", "b"]])
