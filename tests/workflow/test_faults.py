"""What befalls a whole workflow: kills at any moment, a second one in its folder, odd clocks and
names, a full disk.
"""

from __future__ import annotations

import copy
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from harness import Workflow

import tiny
from neft.storage.files import read_json, read_rows

MEASURED = re.compile("second|memory")
"""Keys of what is measured, and so never twice the same."""
STAGES = ("data", "model", "probe", "similarity", "mask", "tune", "generate", "score")


def without_measurements(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: without_measurements(part)
            for key, part in value.items()
            if not MEASURED.search(key)
        }
    return [without_measurements(part) for part in value] if isinstance(value, list) else value


def results(workflow: Workflow, *stages: str) -> dict[str, Any]:
    """Every result of some stages by its path: records and losses without what was measured, of all
    other files the bytes.
    """
    root = workflow.folder / "results/tiny"
    readers = {".json": read_json, ".jsonl": read_rows}
    found = {}
    for path in sorted(
        path for stage in stages for path in (root / stage).rglob("*") if path.is_file()
    ):
        if (
            path.suffix not in (".log", ".tsv")
            and not path.name.startswith(".")
            and not path.name.endswith("provenance.json")
        ):
            read = readers.get(path.suffix)
            found[str(path.relative_to(root))] = (
                without_measurements(read(path)) if read else path.read_bytes()
            )
    return found


@pytest.fixture(scope="module")
def small(tiny_config: dict[str, Any]) -> dict[str, Any]:
    """The tiny configuration cut down to one tuned method: every stage, and few jobs."""
    config = copy.deepcopy(tiny_config)
    config["masks"] = {"low": config["masks"]["low"]}
    config["methods"] = {name: config["methods"][name] for name in ("base", "neft")}
    config["experiments"][0] |= {"methods": ["base", "neft"]}
    config["report"]["baseline"] = "base"
    return config


class Killed:
    """A workflow that is started again and again, and killed with all its jobs when its time is
    up.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.workflow, self.kills = workflow, 0

    def sitting(self, seconds: float) -> bool:
        """Let it run so long; whether it came to its end."""
        log = self.workflow.folder / "log"
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", "--nolock"],
                cwd=self.workflow.folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            )
        try:
            assert process.wait(timeout=seconds) == 0, log.read_text()[-5000:]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self.kills += 1
            return False
        return True


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_twenty_random_moments_a_workflow_ends_with_the_bytes_of_an_undisturbed_one(
    finished, small, tmp_path
):
    disturbed = Killed(Workflow(tmp_path / "disturbed", small))
    began = time.monotonic()
    disturbed.workflow.snakemake("--dry-run")
    start = time.monotonic() - began  # so long Snakemake reads and plans
    draw = random.Random(6)
    while disturbed.kills < 20:
        # Most sittings end within a job, some within the next ones.
        if disturbed.sitting(start + draw.expovariate(1 / 3.5)):
            shutil.rmtree(disturbed.workflow.folder / "results")  # a fast machine: once more
    while not disturbed.sitting(600):
        pass
    found, expected = results(disturbed.workflow, *STAGES), results(finished, *STAGES)
    assert {name.split("/")[0] for name in found} == set(STAGES)
    assert [name for name, content in found.items() if content != expected[name]] == []
    assert disturbed.workflow.would_run() == set()

    # What is made of the results is the same bytes as well; the finished workflow's shows more
    # methods, so it is made again.
    pages = results(disturbed.workflow, "tables", "figures", "samples")
    for folder in ("tables", "figures", "samples"):
        shutil.rmtree(disturbed.workflow.folder / "results/tiny" / folder)
    disturbed.workflow.snakemake()
    again = results(disturbed.workflow, "tables", "figures", "samples")
    assert len(pages) > 8
    assert [name for name, content in again.items() if content != pages[name]] == []


def test_a_second_workflow_in_the_same_folder_is_refused_and_the_first_goes_on(small, tmp_path):
    workflow = Workflow(tmp_path / "neft", small)
    target = "results/tiny/model/tiny-llama.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    first = subprocess.Popen(
        [sys.executable, "-m", "snakemake", target], cwd=workflow.folder, **quiet
    )
    deadline = time.monotonic() + 120
    while not list((workflow.folder / ".snakemake/locks").glob("*")):
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    second = workflow.snakemake(target, check=False)
    assert second.returncode != 0
    assert (
        "Directory cannot be locked" in second.stdout
        and "no other Snakemake process" in second.stdout
    )
    assert first.wait(timeout=120) == 0
    assert (workflow.folder / target).exists()


def test_inputs_in_a_folder_that_may_not_be_written_are_left_as_they_are_and_those_of_the_future_are_named(
    small, tmp_path
):
    given = tmp_path / "given"
    model = tiny.make_tiny_model(given / "model")
    pairs = tiny.write_pairs(given / "pairs.tsv")
    for path in [*given.rglob("*"), given]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {
        path: (path.stat().st_mtime, path.stat().st_size) for path in [given, *given.rglob("*")]
    }
    config = copy.deepcopy(small)
    config["models"]["tiny-llama"]["source"]["path"] = str(model)
    config["datasets"]["pairs"]["source"]["paths"] = [str(pairs)]
    workflow = Workflow(tmp_path / "neft", config)
    targets = ["results/tiny/model/tiny-llama.json", "results/tiny/data/pairs/train.jsonl"]
    workflow.snakemake(*targets)
    assert workflow.would_run(*targets) == set()
    assert {
        path: (path.stat().st_mtime, path.stat().st_size) for path in [given, *given.rglob("*")]
    } == before
    for path in [given, *given.rglob("*")]:
        path.chmod(0o755)  # so that pytest can remove it

    tomorrow = time.time() + 86_400
    os.utime(pairs, (tomorrow, tomorrow))
    os.utime(model / "config.json", (tomorrow, tomorrow))
    result = workflow.snakemake(*targets, check=False)
    assert result.returncode != 0
    for key, path in (
        ("datasets.pairs.source", pairs),
        ("models.tiny-llama.source", model / "config.json"),
    ):
        said = rf"config\.yaml:\d+: {re.escape(key)}: {re.escape(str(path))} is from the future"
        assert re.search(said, result.stdout)
    assert (
        "set this machine's clock, or `touch` the file" in result.stdout
        and "rule " not in result.stdout
    )


def test_what_a_shell_would_run_is_only_a_name(small, tmp_path):
    odd = tmp_path / "$(touch harm) `touch harm`; touch harm & 'a' \"b\""
    odd.mkdir()
    pairs = tiny.write_pairs(odd / "pairs; touch harm.tsv")
    pairs.write_text(pairs.read_text().replace("fr\n", "'; touch harm #\n", 1))
    config = copy.deepcopy(small)
    config["datasets"]["pairs"]["source"] |= {
        "paths": [str(pairs)],
        "columns": {"source": "en", "target": "'; touch harm #"},
    }
    workflow = Workflow(tmp_path / "neft", config)
    workflow.snakemake("results/tiny/data/pairs/train.jsonl")
    assert len(read_rows(workflow.folder / "results/tiny/data/pairs/train.jsonl")) == 32
    assert not list(tmp_path.rglob("harm"))


def test_a_full_disk_ends_a_job_with_the_files_name_and_the_next_start_goes_on(small, tmp_path):
    workflow = Workflow(tmp_path / "neft", small)
    target = "results/tiny/model/tiny-llama.json"

    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))

    result = workflow.snakemake(target, check=False, preexec_fn=small_files_only)
    assert result.returncode != 0
    assert re.search(
        r"error: results/tiny/model/\.tiny-llama\.\S+: can't be written: .*make room and start"
        r" again",
        result.stdout,
    )
    assert "Traceback" not in result.stdout
    assert not (workflow.folder / "results/tiny/model/tiny-llama").exists()
    workflow.snakemake(target)
    assert (workflow.folder / "results/tiny/model/tiny-llama/model.safetensors").exists()
