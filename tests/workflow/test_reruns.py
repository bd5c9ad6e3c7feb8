"""What reruns when: the exact jobs of a real dry run after a real run."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

REPORT = {
    "make_table",
    "plot_scores",
    "plot_costs",
    "plot_losses",
    "show_samples",
    "show_config",
    "record_provenance",
}
REPORT |= {"summarize_claims"}
METRICS = ("bleu", "chrf")


def generated(*methods: str) -> set[str]:
    """Generation and scores of these methods, and the comparison of all that follows."""
    jobs = {f"generate_outputs {method}" for method in methods}
    jobs |= {f"score_outputs {method} {metric}" for method in methods for metric in METRICS}
    return jobs | {f"compare_methods {metric}" for metric in METRICS}


def chain(method: str, *trials: str) -> set[str]:
    """Everything that belongs to one method alone."""
    return (
        {f"tune_model {method} {trial}" for trial in trials or ("lr0.01",)}
        | {f"choose_trial {method}"}
        | generated(method)
    )


@pytest.fixture
def workflow(finished) -> Iterator:
    """The finished workflow; configuration and every edited file are put back afterwards."""
    config = copy.deepcopy(finished.config)
    before = {path: path.read_bytes() for path in finished.folder.rglob("*.py")}
    yield finished
    finished.configure(config)
    for path in finished.folder.rglob("*.py"):
        if path in before:
            path.write_bytes(before[path])
        else:
            path.unlink()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} no longer holds {old!r}"
    path.write_text(text.replace(old, new, 1))


def changed(workflow, **blocks):
    """The configuration with some keys of some blocks replaced: changed(w, training={"clip":
    2}).
    """
    config = copy.deepcopy(workflow.config)
    for block, values in blocks.items():
        for key, value in values.items():
            config[block][key] = (
                (config[block].get(key, {}) | value) if isinstance(value, dict) else value
            )
    workflow.configure(config)


def test_a_second_run_does_nothing(workflow):
    assert workflow.would_run() == set()


def test_touching_every_file_reruns_nothing(workflow):
    for path in workflow.folder.rglob("*"):
        if ".snakemake" not in path.parts or path.name == ".snakemake_timestamp":
            os.utime(path)
    assert workflow.would_run() == set()


def test_comments_and_docstrings_of_any_module_rerun_nothing(workflow):
    for path in (workflow.folder / "scripts").rglob("*.py"):
        text = path.read_text()
        path.write_text("# another comment\n" + text.replace('"""', '"""Edited. ', 1))
    assert workflow.would_run() == set()


def test_nefts_learning_rate_reruns_nefts_chain(workflow):
    changed(workflow, methods={"neft": {"learning_rate": 2.0e-2}})
    assert workflow.would_run() == chain("neft", "lr0.02") | REPORT


def test_a_longer_grid_adds_its_trial_and_keeps_the_finished_ones(workflow):
    changed(workflow, methods={"lora": {"learning_rate": [1.0e-2, 3.0e-2, 5.0e-2]}})
    assert workflow.would_run() == chain("lora", "lr0.05") | REPORT


def test_a_grid_of_epochs_adds_a_trial_for_each(workflow):
    changed(workflow, methods={"neft": {"epochs": [1, 2]}})
    assert workflow.would_run() == chain("neft", "lr0.01-ep1", "lr0.01-ep2") | REPORT


def test_a_masks_budget_reruns_the_mask_and_its_method_but_neither_probe_nor_similarity(workflow):
    changed(workflow, masks={"low": {"fraction": 0.06}})
    assert (
        workflow.would_run()
        == {"select_neurons low", "plot_neurons", "plot_similarity"} | chain("neft") | REPORT
    )


def test_the_probe_reruns_what_its_masks_are_for(workflow):
    changed(workflow, probe={"steps": 3})
    expected = {
        "train_probe",
        "compare_neurons",
        "select_neurons low",
        "select_neurons high",
        "plot_neurons",
        "plot_similarity",
    }
    assert workflow.would_run() == expected | chain("neft") | chain("neft_reversed") | REPORT


def test_a_new_method_runs_its_own_chain(workflow):
    changed(
        workflow, methods={"neft_high": {"kind": "neft", "mask": "high", "learning_rate": 1.0e-2}}
    )
    workflow.config["experiments"][0]["methods"].append("neft_high")
    workflow.configure(workflow.config)
    assert workflow.would_run() == chain("neft_high") | REPORT


def test_the_length_of_outputs_reruns_generation_and_what_follows(workflow):
    changed(workflow, generation={"max_new_tokens": 9})
    assert workflow.would_run() == generated(*workflow.config["methods"]) | (
        REPORT - {"plot_losses"}
    )


def test_the_batch_size_of_generation_reruns_nothing_but_the_page_that_shows_it(workflow):
    changed(workflow, generation={"batch_size": 3})
    assert workflow.would_run() == {"show_config", "record_provenance"}


def test_the_test_size_reruns_the_users_of_the_test_split(workflow):
    changed(workflow, datasets={"pairs": {"splits": {"seed": 1, "train": 32, "dev": 8, "test": 9}}})
    expected = {"split_dataset test", "compare_splits"} | generated(*workflow.config["methods"])
    assert workflow.would_run() == expected | (REPORT - {"plot_losses"})


def test_logic_in_the_lora_plug_in_reruns_loras_chain(workflow):
    path = workflow.folder / "neft/training/methods/lora.py"
    path.write_text(path.read_text() + "\n\nEDITED = True\n")
    assert workflow.would_run() == chain("lora", "lr0.01", "lr0.03") | (REPORT - {"show_config"})


def test_a_new_plug_in_reruns_nothing(workflow):
    source = workflow.folder / "neft/training/methods/embed.py"
    (source.parent / "embed_too.py").write_text(
        source.read_text().replace('Literal["embed"]', 'Literal["embed_too"]')
    )
    assert workflow.would_run() == set()


def test_a_deleted_score_is_made_again(workflow):
    score = workflow.folder / "results/tiny/score/tiny-llama/pairs/neft/seed1/pairs/chrf.json"
    content = score.read_bytes()
    score.unlink()
    jobs = workflow.would_run()
    score.write_bytes(content)
    # Costs are drawn with the first metric, which is another; claims are judged by it.
    assert jobs == {"score_outputs neft chrf"} | (
        REPORT - {"plot_losses", "plot_costs", "show_config", "summarize_claims"}
    )


def test_two_settings_that_swap_their_values_are_noticed(workflow):
    # The finished run has a warm-up of 0.05 (the default) and no weight decay: the same two values,
    # the other way round.
    changed(workflow, training={"warmup_ratio": 0.0, "weight_decay": 0.05})
    assert {
        "train_probe",
        "tune_model neft lr0.01",
        "tune_model full lr0.01",
    } <= workflow.would_run()


def test_a_changed_source_file_reruns_everything_below_it(workflow, tiny_pairs):
    before = tiny_pairs.read_text()
    tiny_pairs.write_text(before + "Print the page\tImprimer la page\n")
    try:
        jobs = workflow.would_run()
    finally:
        tiny_pairs.write_text(before)
    methods = [name for name in workflow.config["methods"] if name != "base"]
    expected = {
        "read_source",
        "split_dataset train",
        "split_dataset dev",
        "split_dataset test",
        "compare_splits",
        "train_probe",
        "compare_neurons",
    }
    expected |= {
        "select_neurons low",
        "select_neurons high",
        "plot_neurons",
        "plot_similarity",
    } | generated("base")
    expected |= {
        job
        for name in methods
        for job in chain(name, *(["lr0.01", "lr0.03"] if name == "lora" else []))
    }
    assert jobs == expected | (REPORT - {"show_config"})
