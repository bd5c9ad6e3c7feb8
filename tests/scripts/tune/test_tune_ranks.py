"""Two processes that train one model together: the result of one process, whoever dies, and whoever
goes on.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

import tuned
from neft.storage import files
from scripts.select import train_probe
from scripts.tune import tune_model

pytestmark = pytest.mark.slow

TUNE, PROBE = Path(tune_model.__file__), Path(train_probe.__file__)
# What two runs may differ by: gradients are summed in another order, and AdamW's steps are of full
# size however small they are.
ROUNDING = {"float32": {"loss": 1e-5, "weights": 1e-5}, "bfloat16": {"loss": 1e-3, "weights": 1e-2}}
# Of 37 rows in batches of six one is left at the end of an epoch: the second rank has none then.
ROWS, TRAINING = 37, {"batch_size": 6, "epochs": 1.5}
# "best": its dev rows ask for what no training row has, so that the best state is not the last.
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    **{kind: (kind, {}) for kind in tuned.SETTINGS},
    "micro": ("neft", {"micro_batch_size": 2}),
    "micro-full": ("full", {"micro_batch_size": 2}),
    "bfloat16": ("neft", {"precision": "bfloat16"}),
    "bfloat16-full": ("full", {"precision": "bfloat16"}),
    "best-full": ("full", {"schedule": "constant", "epochs": 4}),
    "best": ("embed", {"schedule": "constant", "epochs": 4}),
    "checkpointing-full": ("full", {"precision": "bfloat16", "gradient_checkpointing": True}),
}
# One process runs everything in turn, since starting is most of what such a short run takes.
ALL = f"""
import json, sys, time
sys.path.insert(0, {str(TUNE.parent)!r})
from neft.models import runtime
from neft.training import checkpoints
from scripts.select import train_probe
from scripts.tune import tune_model
restore = checkpoints.restore
if runtime.rank():  # late: the first must not remove the checkpoints that this one still reads
    checkpoints.restore = lambda *state: (time.sleep(2), restore(*state))
for name, arguments in json.load(open(sys.argv[1])).items():
    (train_probe if name == "probe" else tune_model).main(arguments)
"""


@pytest.fixture(scope="module")
def inputs(
    tiny_model: Path, tiny_rows: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuned.Inputs:
    inputs = tuned.make_inputs(tmp_path_factory.mktemp("inputs"), tiny_model, tiny_rows)
    inputs.train.write_text("".join(inputs.train.read_text().splitlines(keepends=True)[:ROWS]))
    return inputs


def commands(inputs: tuned.Inputs, out: Path) -> dict[str, list[str]]:
    other = dataclasses.replace(inputs, dev=out.parent / "other.jsonl")
    files.write_rows(
        other.dev,
        [row | {"target": "0123456789 9876543210"} for row in files.read_rows(inputs.dev)],
    )
    found = {
        name: tuned.tune_arguments(
            other if "best" in name else inputs, out / name, kind, **TRAINING | training
        )
        for name, (kind, training) in RUNS.items()
    }
    return found | {"probe": tuned.probe_arguments(inputs, out / "probe", **TRAINING)}


def launch(ranks: int, script: Path, arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "neft.workflow.processes", str(ranks), str(script), *arguments]
    environment = os.environ | {"PYTHONPATH": str(TUNE.parents[2]), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def both(inputs: tuned.Inputs, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The folders of all runs, of one process and of two."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "all.py").write_text(ALL)
    for ranks in (1, 2):
        (folder / f"{ranks}.json").write_text(json.dumps(commands(inputs, folder / str(ranks))))
        process = launch(ranks, folder / "all.py", [str(folder / f"{ranks}.json")])
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    return {ranks: folder / str(ranks) for ranks in (1, 2)}


def course(out: Path) -> list[tuple[str, int, float]]:
    return [
        (row["split"], row["step"], row["epoch"]) for row in files.read_rows(out / "history.jsonl")
    ]


def assert_same(
    one: Path, other: Path, weights: str = "delta.safetensors", precision: str = "float32"
) -> None:
    """Equal but for rounding: losses step by step, and what was written."""
    allowed = ROUNDING[precision]
    first, second = (
        [row["loss"] for row in files.read_rows(out / "history.jsonl")] for out in (one, other)
    )
    assert course(one) == course(other)
    assert second == pytest.approx(first, rel=allowed["loss"])
    tensors, others = load_file(one / weights), load_file(other / weights)
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(others[name], tensor, rtol=0, atol=allowed["weights"])


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_train_what_one_does_with_the_same_batch(name: str, both: dict[int, Path]):
    one, two = (both[ranks] / name for ranks in (1, 2))
    assert_same(
        one,
        two,
        precision="bfloat16" if RUNS[name][1].get("precision") == "bfloat16" else "float32",
    )
    assert {file.name for file in two.iterdir()} == {file.name for file in one.iterdir()}, (
        "and no checkpoints are left"
    )
    first, second = (files.read_json(out / "metrics.json") for out in (one, two))
    assert (first["ranks"], second["ranks"]) == (1, 2)
    assert (first["best_step"] < first["steps"]) == ("best" in name)
    for key in (
        "train_tokens",
        "steps",
        "epochs",
        "best_step",
        "trainable_parameters",
        "total_parameters",
        "rows",
        "delta_bytes",
    ):
        assert first[key] == second[key], key
    assert (one / "delta.json").stat().st_size == (two / "delta.json").stat().st_size


def test_the_probe_of_two_processes_is_a_whole_model(both: dict[int, Path]):
    one, two = (both[ranks] / "probe" for ranks in (1, 2))
    (two / "model.safetensors").symlink_to(two / "model/model.safetensors")
    (one / "model.safetensors").symlink_to(one / "model/model.safetensors")
    assert_same(one, two, "model.safetensors")
    assert {file.name for file in (two / "model").iterdir()} == {
        file.name for file in (one / "model").iterdir()
    }
    for name in ("config.json", "generation_config.json"):
        assert (two / "model" / name).read_text() == (one / "model" / name).read_text()


LONG = {"epochs": 10, "evaluations": 25, "batch_size": 8}


def until_checkpoint(process: subprocess.Popen[str], out: Path) -> None:
    """Wait until a run has written some checkpoints."""
    while process.poll() is None and not list(out.glob("checkpoints/*/step-0000001?")):
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[1]


@pytest.fixture(scope="module")
def undisturbed(inputs: tuned.Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    tune_model.main(tuned.tune_arguments(inputs, out, "full", **LONG))
    return out


def marked(out: Path) -> None:
    """Write a loss into the last checkpoint that only a run that goes on from it can know."""
    state = max(out.glob("checkpoints/*/step-*")) / "state.json"
    content = files.read_json(state)
    content["progress"]["history"][0]["seconds"] = -1
    files.write_json(
        state, files.seal({key: value for key, value in content.items() if key != "sha256"})
    )


def test_a_killed_rank_ends_the_job_and_one_process_can_go_on(
    inputs: tuned.Inputs, undisturbed: Path, tmp_path: Path
):
    arguments = tuned.tune_arguments(inputs, tmp_path, "full", **LONG)
    process = launch(2, TUNE, arguments)
    until_checkpoint(process, tmp_path)
    victim = next(
        p for p in psutil.Process(process.pid).children() if p.environ().get("RANK") == "1"
    )
    victim.send_signal(signal.SIGKILL)
    began = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - began < 60
    assert process.returncode == 1 and "error: rank 1 of 2 was killed by SIGKILL" in said
    assert not (tmp_path / "delta.safetensors").exists()

    marked(tmp_path)
    tune_model.main(arguments)
    assert files.read_rows(tmp_path / "history.jsonl")[0]["seconds"] == -1
    assert files.read_json(tmp_path / "metrics.json")["ranks"] == 1
    assert_same(undisturbed, tmp_path)


def test_two_processes_go_on_where_one_was_killed(
    inputs: tuned.Inputs, undisturbed: Path, tmp_path: Path
):
    arguments = tuned.tune_arguments(inputs, tmp_path, "full", **LONG)
    process = launch(1, TUNE, arguments)
    until_checkpoint(process, tmp_path)
    process.kill()
    process.communicate()

    marked(tmp_path)
    process = launch(2, TUNE, arguments)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert files.read_rows(tmp_path / "history.jsonl")[0]["seconds"] == -1
    assert files.read_json(tmp_path / "metrics.json")["ranks"] == 2
    assert_same(undisturbed, tmp_path)
