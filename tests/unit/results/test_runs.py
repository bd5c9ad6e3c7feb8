from __future__ import annotations

from pathlib import Path

import pytest

from neft.errors import NeftError
from neft.results import runs
from neft.results.runs import Run

TUNED = Run("m", "d", "neft", "neft", 2, "t", ("bleu", "chrf"))
BASE = Run("m", runs.UNTUNED, "base", "base", 0, "t", ("bleu",))


def test_the_files_of_a_tuned_run_lie_where_the_architecture_says():
    assert runs.paths("R", TUNED) == runs.Paths(
        metrics=Path("R/tune/m/d/neft/seed2/chosen/metrics.json"),
        history=Path("R/tune/m/d/neft/seed2/chosen/history.jsonl"),
        trials=Path("R/tune/m/d/neft/seed2/chosen/trials.json"),
        delta_record=Path("R/tune/m/d/neft/seed2/chosen/delta.json"),
        delta_provenance=Path("R/tune/m/d/neft/seed2/chosen/provenance.json"),
        outputs=Path("R/generate/m/d/neft/seed2/t.jsonl"),
        scores={
            "bleu": Path("R/score/m/d/neft/seed2/t/bleu.json"),
            "chrf": Path("R/score/m/d/neft/seed2/t/chrf.json"),
        },
        provenance=Path("R/score/m/d/neft/seed2/t.provenance.json"),
    )


def test_the_untuned_model_has_no_tuning_files():
    paths = runs.paths("R", BASE)
    assert (paths.metrics, paths.history, paths.delta_record, paths.delta_provenance) == (
        None,
        None,
        None,
        None,
    )
    assert paths.outputs == Path("R/generate/m/untuned/base/seed0/t.jsonl")


def test_runs_that_differ_in_their_seed_alone_are_spelled_together_and_read_as_they_were():
    several = [
        BASE,
        TUNED,
        Run(**{**vars(TUNED), "seed": 3}),
        Run(**{**vars(TUNED), "method": "full"}),
        TUNED,
    ]
    spelled = runs.to_spec(several)
    assert [value["seed"] for value in spelled] == [0, [2, 3], 2, 2]
    assert runs.from_spec(spelled) == several[:4]


def test_runs_are_read_once_in_their_order():
    value = {"model": "m", "dataset": "d", "method": "neft", "kind": "neft", "seed": 2, "test": "t"}
    first = value | {"method": "full", "kind": "full", "metrics": ["bleu"]}
    assert [run.method for run in runs.from_spec([first, value, first])] == ["full", "neft"]


def test_no_runs_at_all_is_an_error():
    with pytest.raises(NeftError, match="nothing to show"):
        runs.from_spec([])


def test_the_untuned_model_stands_beside_every_training_set_with_the_same_test_set():
    other = Run("m", "e", "full", "full", 1, "t")
    elsewhere = Run("m", "d", "full", "full", 1, "u")
    groups = runs.group([BASE, TUNED, other, elsewhere])
    assert [(group.dataset, group.test, list(group.methods)) for group in groups] == [
        ("d", "t", ["base", "neft"]),
        ("e", "t", ["base", "full"]),
        ("d", "u", ["full"]),
    ]


def test_the_untuned_model_alone_is_a_group_of_its_own():
    assert [(group.dataset, list(group.methods)) for group in runs.group([BASE])] == [
        (runs.UNTUNED, ["base"])
    ]


def test_seeds_of_a_method_are_one_row():
    seeds = [Run("m", "d", "neft", "neft", seed, "t") for seed in (1, 2, 3)]
    (group,) = runs.group(seeds)
    assert group.methods == {"neft": seeds}


def test_a_record_without_a_needed_key_is_named(tmp_path):
    (tmp_path / "score.json").write_text('{"value": 1}', encoding="utf-8")
    with pytest.raises(NeftError, match=r"score\.json: the key 'low' is missing"):
        runs.read(tmp_path / "score.json", "value", "low")


def test_beside_tuned_runs_the_untuned_model_has_their_metrics_alone():
    """It may have been scored by others too, for another training set."""
    base = Run("m", runs.UNTUNED, "base", "base", 0, "t", ("accuracy", "bleu"))
    group = next(one for one in runs.group([base, TUNED]) if one.dataset == "d")
    assert [run.metrics for run in group.methods["base"]] == [("bleu",)]


def test_nothing_is_generated_for_a_run_of_losses():
    assert runs.paths("R", Run("m", "d", "neft", "neft", 2, "t", ("loss",), False)).outputs is None
