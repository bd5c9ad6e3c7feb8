"""`make verify`: every hash of a finished experiment is rechecked, and whatever was changed is
named.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Workflow

from neft.storage.files import read_json

RUN = "tiny-llama/pairs/neft/seed1"


def verify(workflow: Workflow, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "neft", "verify", *arguments],
        cwd=workflow.folder,
        env=os.environ | {"PYTHONPATH": ".", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def damaged(finished) -> Iterator[set[str]]:
    """A function that flips the last bit of files; they are put back afterwards."""
    before: dict[Path, bytes] = {}

    def flip(*names: str) -> None:
        for path in (finished.folder / "results/tiny" / name for name in names):
            before[path] = path.read_bytes()
            path.write_bytes(before[path][:-1] + bytes([before[path][-1] ^ 1]))

    yield flip
    for path, content in before.items():
        path.write_bytes(content)


def test_a_finished_experiment_is_as_recorded_and_every_file_says_what_it_was_made_of(finished):
    result = verify(finished)
    assert result.returncode == 0, result.stderr
    assert "hashes, all as recorded" in result.stdout
    score = f"results/tiny/score/{RUN}/pairs/chrf.json"
    assert f"{score}\n    score_outputs of results/tiny/generate/{RUN}/pairs.jsonl" in result.stdout


def test_one_flipped_bit_in_a_file_of_any_kind_is_named(finished, damaged):
    root = finished.folder / "results/tiny"
    names = [
        "data/pairs/train.jsonl",
        "model/tiny-llama/model.safetensors",
        "similarity/tiny-llama/pairs/seed1.safetensors",
        "mask/tiny-llama/pairs/seed1/low.safetensors",
        f"tune/{RUN}/lr0.01/metrics.json",
        f"tune/{RUN}/chosen/delta.safetensors",
        f"generate/{RUN}/pairs.jsonl",
        f"score/{RUN}/pairs/chrf.json",
        "compare/tiny-llama/pairs/pairs/bleu.json",
        "tables/main.csv",
        *(str(path.relative_to(root)) for path in root.glob("figures/*.png")),
        "samples/samples.html",
    ]
    damaged(*names)
    result = verify(finished)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    for name in names:
        assert f"\n  results/tiny/{name}: " in result.stderr, name
    assert "results/tiny/data/pairs/dev.jsonl: " not in result.stderr


def test_a_missing_file_is_named(finished):
    path = finished.folder / f"results/tiny/score/{RUN}/pairs/bleu.json"
    content = path.read_bytes()
    path.unlink()
    result = verify(finished, "results/tiny")
    path.write_bytes(content)
    assert result.returncode == 1
    assert (
        f"results/tiny/score/{RUN}/pairs/bleu.json: " in result.stderr
        and "no such file" in result.stderr
    )


def test_a_results_own_provenance_leads_from_its_score_to_the_users_data(finished, tiny_pairs):
    record = read_json(
        finished.folder
        / f"results/tiny/score/{RUN.removesuffix('/seed1')}/seed1/pairs.provenance.json"
    )
    rules = {job["rule"] for job in record["jobs"]}
    assert {
        "read_source",
        "prepare_model",
        "train_probe",
        "select_neurons",
        "tune_model",
        "score_outputs",
    } <= rules
    tuning = next(job for job in record["jobs"] if job["rule"] == "tune_model")
    assert (
        tuning["spec"]["seed"] == 1
        and tuning["spec"]["method"]["kind"] == "neft"
        and len(tuning["code"]) == 16
    )
    assert not any("lora" in path for path in record["files"])
    assert str(tiny_pairs) in record["files"]
