from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from neft.errors import NeftError
from neft.reporting import summary
from neft.results import comparisons, runs
from neft.results.comparisons import Comparison, Comparisons, RunPair
from neft.results.layout import Layout
from neft.results.runs import Run
from neft.scoring.methods import Difference

TUNING = {
    "trainable_parameters": 100,
    "percent": 9.0,
    "learning_rate": 1e-4,
    "dev_loss": 1.0,
    "train_seconds": 10.0,
    "tokens_per_second": 50.0,
    "peak_memory_bytes": 1000,
    "delta_bytes": 200,
}
SCORE = {
    "title": "BLEU",
    "higher_is_better": True,
    "decimals": 1,
    "value": 30.0,
    "low": 25.0,
    "high": 35.0,
    "signature": "s",
    "standard_error": None,
    "details": {},
    "notes": [],
}


def write(path: Path | None, value: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def finish(
    root: Path,
    run: Run,
    tuning: dict | None = None,
    score: dict | None = None,
) -> Run:
    paths = runs.paths(root, run)
    if paths.metrics:
        write(paths.metrics, TUNING | (tuning or {}))
        write(paths.trials, [{}, {}])
    write(paths.scores["bleu"], SCORE | (score or {}))
    return run


def compare(root: Path, *methods: str, dataset: str = "d") -> Comparisons:
    """Write that these methods differ from `full` by one point."""
    difference = Difference(1.0, 0.0, 2.0, 0.5, 2, 60, 0.5, 1.0)
    runs = tuple(RunPair(seed, 31.0, 30.0, 0.5) for seed in (1, 2))
    pairs = tuple(Comparison(method, "full", difference, runs) for method in methods)
    found = Comparisons("BLEU", True, 1, "s|test", pairs)
    comparisons.write(Layout(root).comparisons("m", dataset, "t", "bleu"), found)
    return found


def neft(seed: int) -> Run:
    return Run("m", "d", "neft", "neft", seed, "t", ("bleu",))


FULL = Run("m", "d", "full", "full", 1, "t", ("bleu",))
BASE = Run("m", runs.UNTUNED, "base", "base", 0, "t", ("bleu",))


def rows(root: Path, *chosen: Run) -> list[summary.Row]:
    (group,) = runs.group(chosen)
    return summary.rows(root, group, "full")


def test_one_seed_keeps_its_numbers_and_has_no_deviation(tmp_path):
    (row,) = rows(tmp_path, finish(tmp_path, neft(1)))
    assert row.dev_loss == summary.Mean(1.0, None)
    assert row.results["bleu"] == summary.Result(
        "BLEU", summary.Mean(30.0, None), 25.0, 35.0, "s", (30.0,)
    )
    assert (row.seeds, row.trainable_parameters, row.learning_rates) == (1, 100, (1e-4,))
    assert row.costs == {key: TUNING[key] for key in summary.COSTS}


def test_several_seeds_give_mean_deviation_mean_bounds_and_their_own_values(tmp_path):
    finish(
        tmp_path,
        neft(1),
        {"dev_loss": 1.0},
        {"value": 30.0, "low": 25.0, "high": 35.0},
    )
    finish(
        tmp_path,
        neft(2),
        {"dev_loss": 3.0},
        {"value": 34.0, "low": 27.0, "high": 39.0},
    )
    (row,) = rows(tmp_path, neft(1), neft(2))
    result = row.results["bleu"]
    assert row.seeds == 2
    assert (row.dev_loss.value, row.dev_loss.sd) == (2.0, pytest.approx(2**0.5))
    assert (result.value.value, result.value.sd) == (32.0, pytest.approx(8**0.5))
    assert (result.low, result.high, result.by_seed) == (26.0, 37.0, (30.0, 34.0))


def test_seeds_that_chose_different_learning_rates_show_all_of_them(tmp_path):
    finish(tmp_path, neft(1), {"learning_rate": 5e-4})
    finish(tmp_path, neft(2), {"learning_rate": 1e-4})
    (row,) = rows(tmp_path, neft(1), neft(2))
    assert row.learning_rates == (1e-4, 5e-4)


def test_the_untuned_model_trains_nothing_and_costs_nothing(tmp_path):
    compare(tmp_path, "base")
    row, _ = rows(tmp_path, finish(tmp_path, BASE), finish(tmp_path, FULL))
    assert (row.trainable_parameters, row.percent, row.learning_rates, row.dev_loss, row.costs) == (
        0,
        0.0,
        (),
        None,
        {},
    )


def test_a_method_stands_beside_the_baseline_of_its_own_training_set(tmp_path):
    other = replace(FULL, dataset="other")
    chosen = [finish(tmp_path, run) for run in (BASE, neft(1), neft(2), FULL, other)]
    found = compare(tmp_path, "base", "neft")
    compare(tmp_path, "base", dataset="other")
    groups = {
        group.dataset: {row.method: row for row in summary.rows(tmp_path, group, "full")}
        for group in runs.group(chosen)
    }
    result = groups["d"]["neft"].results["bleu"]
    assert result.comparison == found.of("neft", "full") and result.test == "s|test"
    assert groups["d"]["full"].results["bleu"].comparison is None
    assert groups["other"]["base"].results["bleu"].comparison == found.of("base", "full")


def test_seeds_that_were_scored_differently_are_refused(tmp_path):
    finish(tmp_path, neft(1))
    finish(tmp_path, neft(2), score={"signature": "other"})
    with pytest.raises(
        NeftError, match=r"bleu of neft: seeds were scored differently \(other and s\)"
    ):
        rows(tmp_path, neft(1), neft(2))


def test_a_missing_score_is_named(tmp_path):
    finish(tmp_path, neft(1))
    runs.paths(tmp_path, neft(1)).scores["bleu"].unlink()
    with pytest.raises(NeftError, match=r"neft/seed1/t/bleu\.json"):
        rows(tmp_path, neft(1))


def test_standard_errors_and_details_are_means_over_seeds_and_notes_those_of_any(tmp_path):
    finish(
        tmp_path,
        neft(1),
        score={"standard_error": 1.0, "details": {"recall": 20.0}, "notes": ["a"]},
    )
    finish(
        tmp_path,
        neft(2),
        score={"standard_error": 2.0, "details": {"recall": 30.0}, "notes": ["a", "b"]},
    )
    (row,) = rows(tmp_path, neft(1), neft(2))
    result = row.results["bleu"]
    assert (result.standard_error, result.details, result.notes) == (
        1.5,
        {"recall": 25.0},
        ("a", "b"),
    )


def test_figures_wait_for_no_comparison(tmp_path):
    """Their jobs may run before any comparison is written."""
    tuned = [
        finish(tmp_path, Run("m", "d", method, method, 1, "t", ("bleu",)))
        for method in ("full", "neft")
    ]
    (group,) = runs.group(tuned)
    assert [row.results["bleu"].comparison for row in summary.rows(tmp_path, group)] == [None] * 2
    with pytest.raises(NeftError, match=r"compare/m/d/t/bleu\.json"):
        summary.rows(tmp_path, group, "full")
