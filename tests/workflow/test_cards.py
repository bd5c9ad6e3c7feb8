"""A workstation with declared cards: jobs ask for one, as many run at once as there are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import Workflow

TUNED = "results/tiny/tune/tiny-llama/pairs/neft/seed1/lr0.01"
SEVERAL = ("--set-resources", "tune_model:gpu=2", "train_probe:gpu=2")
METHODS = ("full", "embed", "neft")


def locked(folder: Path) -> int:
    """How many of the lock files in a folder somebody holds, as the kernel says."""
    inodes = {str(path.stat().st_ino) for path in folder.glob("neft-card-*.lock")}
    held = re.findall(
        r"FLOCK +ADVISORY +WRITE \d+ [0-9a-f]+:[0-9a-f]+:(\d+)", Path("/proc/locks").read_text()
    )
    return len(inodes & set(held))


def test_a_job_that_computes_asks_for_a_card_and_its_share_of_the_cores(tmp_path, tiny_config):
    workflow = Workflow(tmp_path / "neft", tiny_config)
    target = "results/tiny/tune/tiny-llama/pairs/neft/seed1/lr0.01/delta.safetensors"
    for there, cards, threads in (("0,1", 1, 2), ("", 0, 4)):
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": there}
        plan = workflow.snakemake(
            "--dry-run", "--cores", "4", target, environment=environment
        ).stdout
        job = plan[plan.index("rule tune_model:") :].split("\n\n")[0]
        assert f"threads: {threads}" in job
        assert f"gpu={cards}" in job
        assert "mem_mb=<TBD>" in job  # there is no model yet


def test_more_cards_for_a_job_rerun_nothing_and_train_in_as_many_processes(finished, tmp_path):
    workflow = Workflow(tmp_path / "neft", finished.config)
    for part in ("results", ".snakemake"):
        shutil.copytree(finished.folder / part, workflow.folder / part)
    (tmp_path / "locks").mkdir()
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "0,1", "TMPDIR": str(tmp_path / "locks")}
    plan = workflow.snakemake("--dry-run", *SEVERAL, environment=environment).stdout
    assert "Nothing to be done" in plan
    (workflow.folder / TUNED / "delta.safetensors").unlink()
    output = workflow.snakemake(
        f"{TUNED}/delta.safetensors", "--cores", "2", *SEVERAL, environment=environment
    ).stdout
    assert "threads: 2" in output and "gpu=2" in output
    metrics = json.loads((workflow.folder / TUNED / "metrics.json").read_text())
    assert metrics["ranks"] == 2
    of_one = json.loads((finished.folder / TUNED / "metrics.json").read_text())
    assert metrics["dev_loss"] == pytest.approx(of_one["dev_loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        (
            "3",
            (
                "training.batch_size: 8 rows can't be shared evenly by the 3 cards that tune_model"
                " asks for"
            ),
        ),
        ("2 * attempt", "set-resources: tune_model: gpu: 2 \\* attempt must be a plain number"),
    ],
)
def test_cards_that_a_batch_cannot_be_shared_by_are_a_mistake_before_any_job(
    gpu, said, tmp_path, tiny_config
):
    workflow = Workflow(tmp_path / "neft", tiny_config)
    result = workflow.snakemake(
        "--dry-run", "--set-resources", f"tune_model:gpu={gpu}", check=False
    )
    assert result.returncode != 0
    assert re.search(said, result.stdout), result.stdout


def test_of_three_jobs_on_two_cards_two_run_at_once(finished, tmp_path):
    workflow = Workflow(tmp_path / "neft", finished.config)
    for part in ("results", ".snakemake"):
        shutil.copytree(finished.folder / part, workflow.folder / part)
    targets = [
        f"results/tiny/tune/tiny-llama/pairs/{method}/seed1/lr0.01/delta.safetensors"
        for method in METHODS
    ]
    for target in targets:
        (workflow.folder / target).unlink()
    locks = tmp_path / "locks"
    locks.mkdir()
    environment = os.environ | {
        "CUDA_VISIBLE_DEVICES": "0,1",
        "TMPDIR": str(locks),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *targets]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=workflow.folder, env=environment, stdout=log, stderr=log
        )
    seen, deadline = set(), time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        seen.add(locked(locks))
        time.sleep(0.1)
    process.kill()
    output = (tmp_path / "log").read_text()
    assert process.wait() == 0, output
    assert max(seen) == 2
    assert "waiting for" not in output  # Snakemake starts no more jobs than there are cards
    assert all((workflow.folder / target).exists() for target in targets)
    assert sorted(path.name for path in locks.glob("neft-card-*")) == [
        "neft-card-host-0.lock",
        "neft-card-host-1.lock",
    ]
