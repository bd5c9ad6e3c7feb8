from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from neft.errors import NeftError
from neft.results import comparisons
from neft.results.comparisons import Comparisons
from neft.results.layout import Layout
from neft.scoring import methods
from neft.storage import files
from scripts.score import compare_methods

REFERENCES = [target for _, target in tiny.pairs()]
CHRF = {"kind": "chrf", "word_order": 2, "bootstrap": 100, "trials": 1000}


def rows(share: float, seed: int) -> list[dict[str, Any]]:
    """Outputs of which this share of words is wrong."""
    pick = random.Random(seed)
    return [
        {
            "id": n,
            "reference": text,
            "output": " ".join(w if pick.random() > share else "mot" for w in text.split()),
        }
        for n, text in enumerate(REFERENCES)
    ]


def compare(
    tmp_path: Path,
    runs: dict[tuple[str, int], list[dict[str, Any]]],
    pairs: list[tuple[str, str]],
    metric: dict[str, Any] = CHRF,
) -> Comparisons:
    paths = []
    for (method, seed), outputs in runs.items():
        paths.append(str(tmp_path / f"{method}{seed}.jsonl"))
        files.write_rows(paths[-1], outputs)
    names = [{"method": method, "seed": seed} for method, seed in runs]
    spec = {"metric": metric, "language": "fr", "runs": names, "pairs": pairs}
    target = Layout(tmp_path).comparisons("m", "d", "t", "x")
    compare_methods.main(
        ["--spec", json.dumps(spec), "--outputs", *paths, "--comparisons", str(target)]
    )
    return comparisons.load(tmp_path, "m", "d", "t", "x")


def test_the_runs_of_a_seed_have_a_p_and_the_methods_none(tmp_path: Path) -> None:
    found = compare(tmp_path, {("a", 1): rows(0.1, 1), ("b", 1): rows(0.8, 2)}, [("a", "b")])
    pair = found.of("a", "b")
    assert pair.runs[0].first > pair.runs[0].second
    assert pair.difference.value == pytest.approx(pair.runs[0].first - pair.runs[0].second)
    assert pair.difference.p is None and pair.p == pair.runs[0].p == pytest.approx(1 / 1001)
    assert (found.title, found.higher_is_better, found.decimals) == ("chrF++", True, 1)
    assert found.signature.endswith("|test:swaps|trials:1000|seed:12345")


def test_over_seeds_it_is_the_difference_of_methods(tmp_path: Path) -> None:
    runs = {(m, s): rows(share, s) for m, share in (("a", 0.2), ("b", 0.5)) for s in (1, 2, 3)}
    found = compare(tmp_path, runs, [("a", "b")], {"kind": "accuracy"})
    scores = {
        run: np.array([[100.0 * (r["output"] == r["reference"]), 1.0] for r in outputs])
        for run, outputs in runs.items()
    }
    firsts, seconds = ([scores[m, s] for s in (1, 2, 3)] for m in "ab")
    expected = methods.compare(firsts, seconds, lambda sums: sums[..., 0] / sums[..., 1])
    pair = found.of("a", "b")
    assert pair.difference.value == pytest.approx(expected.value)
    assert pair.p == pair.difference.p == pytest.approx(expected.p)
    assert [run.seed for run in pair.runs] == [1, 2, 3]
    assert found.signature.endswith(f"|{methods.TEST}")


def test_either_way_round_a_pair_is_found_and_one_that_was_not_compared_is_an_error(
    tmp_path: Path,
) -> None:
    runs = {(name, 1): rows(share, 1) for name, share in (("a", 0.1), ("b", 0.4), ("c", 0.5))}
    found = compare(tmp_path, runs, [("a", "b"), ("a", "c")])
    assert found.of("b", "a").difference.value == -found.of("a", "b").difference.value
    assert found.of("b", "a").runs[0].first == found.of("a", "b").runs[0].second
    with pytest.raises(NeftError, match="b and c were not compared"):
        found.of("b", "c")


def test_the_untuned_models_one_run_meets_every_seed(tmp_path: Path) -> None:
    runs = {("base", 0): rows(0.9, 1), **{("a", s): rows(0.3, s) for s in (1, 2)}}
    pair = compare(tmp_path, runs, [("a", "base")]).of("a", "base")
    assert [run.seed for run in pair.runs] == [1, 2]
    assert pair.runs[0].second == pair.runs[1].second


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda outputs: outputs[:-1], r"a1\.jsonl has 60 rows but .*b1\.jsonl has 59"),
        (lambda outputs: [outputs[1], outputs[0], *outputs[2:]], r"row 1: id is 0 in .* but 1 in"),
        (
            lambda outputs: [outputs[0] | {"reference": "autre"}, *outputs[1:]],
            r"row 1: reference is .* it must be the same",
        ),
    ],
)
def test_other_rows_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    outputs = rows(0.5, 1)
    with pytest.raises(NeftError, match=message):
        compare(tmp_path, {("a", 1): outputs, ("b", 1): change(outputs)}, [("a", "b")])


def test_damage_is_noticed(tmp_path: Path) -> None:
    compare(tmp_path, {("a", 1): rows(0.1, 1), ("b", 1): rows(0.8, 2)}, [("a", "b")])
    path = Layout(tmp_path).comparisons("m", "d", "t", "x")
    path.write_text(path.read_text().replace('"decimals": 1', '"decimals": 2'))
    with pytest.raises(NeftError, match="damaged"):
        comparisons.load(tmp_path, "m", "d", "t", "x")
