"""Every task through a real run: small files in, trained on one language, tested on two."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from harness import SIDE_BY_SIDE, Workflow

import tiny
from neft.results import comparisons
from neft.storage.files import read_json, read_rows

METHODS = {"base": {"kind": "base"}, "full": {"kind": "full", "learning_rate": 1e-2}}
LABELS = ("entailment", "neutral", "contradiction")
SPLITS = {"train": 16, "dev": 4, "test": 6}


def write(path: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    return {"kind": "files", "paths": str(path)}


def datasets(folder: Path) -> dict[str, Any]:
    """NLI in English and French, summaries from English into both, instructions with and without
    input, and chats.
    """
    english, french = (list(texts) for texts in zip(*tiny.pairs(), strict=True))
    result: dict[str, Any] = {}
    for code, texts in (("en", english), ("fr", french)):
        rows = [
            {"premise": p, "hypothesis": h, "gold": LABELS[n % 3]}
            for n, (p, h) in enumerate(itertools.pairwise(texts))
        ]
        words = {"entailment": "yes", "neutral": "maybe", "contradiction": "no"}
        task = {
            "kind": "nli",
            "language": code,
            "labels": words,
            "prompt": "{premise}? {hypothesis}?",
        }
        source = write(folder / f"nli-{code}.jsonl", rows) | {"columns": {"label": "gold"}}
        result[f"nli-{code}"] = {"task": task, "source": source, "splits": SPLITS}
        rows = [
            {"document": f"{a}. {b}. {a}.", "summary": s}
            for (a, b), s in zip(itertools.pairwise(english), texts, strict=False)
        ]
        task = {
            "kind": "summarization",
            "source_language": "en",
            "target_language": code,
            "max_document_tokens": 10,
        }
        task["prompt"] = "Sum up:\n{document}"
        result[f"sum-{code}"] = {
            "task": task,
            "source": write(folder / f"sum-{code}.jsonl", rows),
            "splits": SPLITS,
        }
    rows = [{"instruction": "In French", "input": en, "output": fr} for en, fr in tiny.pairs()]
    rows += [{"instruction": f"Say {en}", "input": "", "output": fr} for en, fr in tiny.pairs()]
    source = write(folder / "alpaca.jsonl", rows)
    result["alpaca"] = {
        "task": {"kind": "instruction", "language": "fr"},
        "source": source,
        "splits": SPLITS,
    }
    rows = [
        {
            "messages": [
                {"role": "user", "content": en},
                {"role": "assistant", "content": fr},
                *second,
            ],
            "more": 1,
        }
        for n, (en, fr) in enumerate(tiny.pairs())
        for second in [
            [{"role": "user", "content": "Again"}, {"role": "assistant", "content": fr}]
            if n % 2
            else []
        ]
    ]
    source = write(folder / "chats.jsonl", rows)
    result["chats"] = {
        "task": {"kind": "chat", "language": "fr"},
        "source": source,
        "splits": SPLITS,
    }
    return result


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """The results of one run of all tasks."""
    folder = tmp_path_factory.mktemp("tasks")
    tests = {
        "nli-en": (["nli-en", "nli-fr"], ["accuracy"]),
        "sum-en": (["sum-en", "sum-fr"], ["chrf"]),
        "alpaca": (["alpaca", "chats"], ["chrf"]),
        "chats": (["chats"], ["loss"]),
    }
    config = {
        "name": "tiny",
        "seeds": [1],
        "models": {
            "tiny": {"source": {"kind": "files", "path": str(tiny_model)}, "dtype": "float32"}
        },
        "datasets": datasets(folder),
        "probe": {"learning_rate": 1.0e-2, "steps": 2},
        "methods": METHODS,
        "training": {"epochs": 1, "batch_size": 8, "evaluations": 1, "precision": "float32"},
        "generation": {"max_new_tokens": 8, "batch_size": 4},
        "metrics": {
            "chrf": {"kind": "chrf", "bootstrap": 100},
            "accuracy": {"kind": "accuracy"},
            "loss": {"kind": "loss", "bootstrap": 100},
        },
        "experiments": [
            {
                "model": "tiny",
                "train": train,
                "test": test,
                "methods": list(METHODS),
                "metrics": metrics,
            }
            for train, (test, metrics) in tests.items()
        ],
        "report": {"baseline": "full", "samples": 3},
    }
    workflow = Workflow(folder / "neft", config)
    workflow.snakemake(*SIDE_BY_SIDE)
    return workflow.folder / "results/tiny"


def test_every_pair_of_training_and_test_set_is_in_the_table(done: Path):
    with (done / "tables/main.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "full"]
    found = {
        (row["dataset"], row["test"]): {m for m in ("accuracy", "chrf", "loss") if row[m]}
        for row in rows
    }
    assert found == {
        ("nli-en", "nli-en"): {"accuracy"},
        ("nli-en", "nli-fr"): {"accuracy"},
        ("sum-en", "sum-en"): {"chrf"},
        ("sum-en", "sum-fr"): {"chrf"},
        ("alpaca", "alpaca"): {"chrf"},
        ("alpaca", "chats"): {"chrf"},
        ("chats", "chats"): {"loss"},
    }


def test_where_every_metric_reads_losses_nothing_is_generated(done: Path):
    assert not (done / "generate/tiny/chats/full/seed1/chats.jsonl").exists()
    rows = read_rows(done / "losses/tiny/chats/full/seed1/chats.jsonl")
    score = read_json(done / "score/tiny/chats/full/seed1/chats/loss.json")
    assert score["value"] == pytest.approx(
        sum(row["loss"] for row in rows) / sum(row["tokens"] for row in rows)
    )
    compared = comparisons.load(done, "tiny", "chats", "chats", "loss")
    assert not compared.higher_is_better
    assert "tuned on chats" not in (done / "samples/samples.html").read_text(encoding="utf-8")


def test_likelihoods_of_all_labels_are_kept_in_both_languages(done: Path):
    for test in ("nli-en", "nli-fr"):
        for row in read_rows(done / f"generate/tiny/nli-en/full/seed1/{test}.jsonl"):
            assert set(row["scores"]) == {"yes", "maybe", "no"} >= {row["output"], row["reference"]}
        score = read_json(done / f"score/tiny/nli-en/full/seed1/{test}/accuracy.json")
        assert "answers:likelihood" in score["signature"] and set(score["segments"]) <= {0.0, 100.0}
    compared = comparisons.load(done, "tiny", "nli-en", "nli-en", "accuracy")
    assert "mcnemar" in compared.signature and 0 <= compared.of("base", "full").p <= 1


def test_cut_documents_are_counted_in_training_and_in_generation(done: Path):
    metrics = read_json(done / "tune/tiny/sum-en/full/seed1/chosen/metrics.json")
    assert metrics["cut"] == {"train": 16, "dev": 4} and metrics["dropped_too_long"] == {
        "train": 0,
        "dev": 0,
    }
    assert read_json(done / "generate/tiny/sum-en/full/seed1/sum-fr.json")["cut"] == 6


def test_prompts_of_instructions_and_chats_become_sources(done: Path):
    sources = [
        row["source"] for row in read_rows(done / "generate/tiny/alpaca/full/seed1/alpaca.jsonl")
    ]
    assert {source.startswith("In French\n") for source in sources} == {True, False}
    chats = [
        row["source"] for row in read_rows(done / "generate/tiny/alpaca/full/seed1/chats.jsonl")
    ]
    assert any(source.endswith("\nuser: Again") for source in chats) and all(
        source.startswith("user: ") for source in chats
    )


def test_the_page_of_samples_names_the_language_of_every_text(done: Path):
    page = (done / "samples/samples.html").read_text(encoding="utf-8")
    start = page.index("tuned on sum-en, tested on sum-fr")
    section = page[start : page.index("</section>", start)]
    assert '<span lang="en">' in section and '<b lang="fr">' in section and "its chrF" in section
    assert "its Accuracy" in page
