"""IFEval and MMLU through the real rules, on a tiny model and hand-written prompts and
questions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness import SIDE_BY_SIDE, Workflow

import benchmark_rows
from neft.storage import files

METRICS = {
    "ifeval_prompt": {"kind": "ifeval", "bootstrap": 100},
    "ifeval_loose": {"kind": "ifeval", "level": "instruction", "strict": False, "bootstrap": 100},
    "accuracy": {"kind": "accuracy"},
}


def benchmark_config(tiny_config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The untuned and one tuned model, both benchmarks, and the training set's own test."""

    def source(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "kind": "files",
            "paths": str(benchmark_rows.write(folder / name, rows, numbered=False)),
        }

    benchmark_rows.write_punkt(folder)
    examples, questions = (
        benchmark_rows.questions(rows)
        for rows in (benchmark_rows.EXAMPLES, benchmark_rows.QUESTIONS)
    )
    datasets = {
        "ifeval": {
            "task": {"kind": "ifeval", "max_new_tokens": 16, "nltk_data": str(folder)},
            "source": source("ifeval.jsonl", benchmark_rows.ifeval_rows()),
            "splits": {"test": 4},
        },
        "mmlu-dev": {
            "task": {"kind": "mmlu", "shots": 0},
            "source": source("dev.jsonl", examples),
            "splits": {"test": len(examples)},
        },
        "mmlu": {
            "task": {"kind": "mmlu", "shots": 2, "examples": "mmlu-dev"},
            "source": source("val.jsonl", questions),
            "splits": {"test": len(questions)},
        },
    }
    shared = {"model": "tiny-llama", "train": "pairs", "methods": ["base", "neft"]}
    return tiny_config | {
        "name": "exams",
        "datasets": tiny_config["datasets"] | datasets,
        "metrics": tiny_config["metrics"] | METRICS,
        "experiments": [
            {**shared, "test": ["pairs"], "metrics": ["chrf"]},
            {**shared, "test": ["ifeval"], "metrics": ["ifeval_prompt", "ifeval_loose"]},
            {**shared, "test": ["mmlu"], "metrics": ["accuracy"]},
        ],
        "report": {"baseline": "base", "samples": 2},
    }


@pytest.fixture(scope="module")
def exams(tiny_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    folder = tmp_path_factory.mktemp("exams")
    config = benchmark_config(tiny_config, folder)
    return Workflow(folder / "neft", config)


def test_benchmarks_are_answered_scored_and_shown_beside_other_test_sets(exams: Workflow):
    exams.snakemake(*SIDE_BY_SIDE)
    results = exams.folder / "results" / "exams"
    for run in ("untuned/base/seed0", "pairs/neft/seed1"):
        prompts = files.read_rows(results / "generate" / "tiny-llama" / run / "ifeval.jsonl")
        assert len(prompts) == 4 and all(
            len(row["strict"]) == len(row["instructions"]) for row in prompts
        )
        letters = files.read_rows(results / "generate" / "tiny-llama" / run / "mmlu.jsonl")
        score = files.read_json(results / "score" / "tiny-llama" / run / "mmlu" / "accuracy.json")
        assert score["value"] == pytest.approx(
            100 * sum(row["output"] == row["reference"] for row in letters) / len(letters)
        )
        followed = [one for row in prompts for one in row["loose"]]
        score = files.read_json(
            results / "score" / "tiny-llama" / run / "ifeval" / "ifeval_loose.json"
        )
        assert score["value"] == pytest.approx(100 * sum(followed) / len(followed))
    table = (results / "tables" / "main.md").read_text()
    assert (
        "Accuracy" in table
        and "IFEval (prompt, strict)" in table
        and "IFEval (instruction, loose)" in table
    )
    assert exams.would_run() == set()


def test_the_sentence_model_is_fetched_only_for_ifeval_and_only_if_it_is_not_here(exams: Workflow):
    def fetches(**task: str) -> set[str]:
        datasets = exams.config["datasets"]
        ifeval = datasets["ifeval"] | {"task": {"kind": "ifeval", **task}}
        exams.configure(exams.config | {"datasets": datasets | {"ifeval": ifeval}})
        return {job for job in exams.would_run("--forceall") if job.startswith("fetch")}

    before = exams.config
    try:
        assert fetches() == {"fetch_wheel llama-index-core"}
        assert fetches(nltk_data=before["datasets"]["ifeval"]["task"]["nltk_data"]) == set()
        exams.configure(exams.config | {"experiments": before["experiments"][:1]})
        assert fetches() == set()
    finally:
        exams.configure(before)
