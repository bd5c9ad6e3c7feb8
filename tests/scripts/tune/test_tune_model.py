import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import tuned
from neft.core import delta
from neft.errors import NeftError
from neft.storage import files
from scripts.tune import tune_model

SCRIPT = Path(tune_model.__file__)
NAMES = ("delta.safetensors", "delta.json", "metrics.json", "history.jsonl")


@pytest.fixture(scope="module")
def inputs(
    tiny_model: Path, tiny_rows: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuned.Inputs:
    return tuned.make_inputs(tmp_path_factory.mktemp("inputs"), tiny_model, tiny_rows)


def losses(out: Path) -> list[tuple[Any, ...]]:
    """The rows of a history without the time, the one thing that may differ."""
    return [
        (row["split"], row["step"], row["epoch"], row["loss"])
        for row in files.read_rows(out / "history.jsonl")
    ]


@pytest.mark.parametrize("kind", tuned.SETTINGS)
def test_writes_delta_record_metrics_and_history_of_every_method(
    kind: str, inputs: tuned.Inputs, tmp_path: Path
):
    tune_model.main(tuned.tune_arguments(inputs, tmp_path, kind))
    assert {file.name for file in tmp_path.iterdir()} == set(NAMES), "and no checkpoints are left"
    metrics, record = (
        files.read_json(tmp_path / "metrics.json"),
        files.read_json(tmp_path / "delta.json"),
    )
    change = delta.Delta.load(tmp_path / "delta.safetensors")
    base_hash = files.read_json(inputs.record)["base_hash"]
    size = (tmp_path / "delta.safetensors").stat().st_size
    assert record == {
        "sha256": files.sha256(tmp_path / "delta.safetensors"),
        "bytes": size,
        "kind": kind,
        "base_hash": base_hash,
    }
    assert change.base_hash == base_hash and change.parameters == metrics["trainable_parameters"]
    assert metrics["delta_bytes"] == size and metrics["method"] == metrics["kind"] == kind
    assert metrics["percent"] == 100 * metrics["trainable_parameters"] / metrics["total_parameters"]
    assert metrics["data_sha256"] == {
        "train": files.sha256(inputs.train),
        "dev": files.sha256(inputs.dev),
    }
    assert metrics["mask_sha256"] == (files.sha256(inputs.mask) if kind == "neft" else None)
    dev = {step: loss for split, step, _, loss in losses(tmp_path) if split == "dev"}
    assert metrics["dev_loss"] == min(dev.values()) == dev[metrics["best_step"]]
    assert (metrics["steps"], metrics["epochs"], metrics["precision"]) == (10, 2.0, "float32")
    assert metrics["dropped_too_long"] == {"train": 0, "dev": 0}


def test_the_same_command_gives_the_same_bytes_and_another_seed_others(
    inputs: tuned.Inputs, tmp_path: Path
):
    for out, seed in (("one", 1), ("two", 1), ("three", 2)):
        tune_model.main(tuned.tune_arguments(inputs, tmp_path / out, "lora", seed=seed))
    one, two, three = (
        (tmp_path / out / "delta.safetensors").read_bytes() for out in ("one", "two", "three")
    )
    assert one == two != three


def test_rows_that_are_too_long_are_counted(inputs: tuned.Inputs, tmp_path: Path):
    tune_model.main(tuned.tune_arguments(inputs, tmp_path, "neft", max_length=100))
    metrics = files.read_json(tmp_path / "metrics.json")
    assert metrics["dropped_too_long"]["train"] > 0
    assert metrics["rows"]["train"] + metrics["dropped_too_long"]["train"] == 40


def test_a_mask_of_another_model_is_refused(inputs: tuned.Inputs, tmp_path: Path):
    files.write_json(
        tmp_path / "other.json", files.read_json(inputs.record) | {"base_hash": "0" * 64}
    )
    arguments = tuned.tune_arguments(inputs, tmp_path, "neft")
    arguments[arguments.index("--model-record") + 1] = str(tmp_path / "other.json")
    with pytest.raises(NeftError, match=r"mask.safetensors: a mask of another base model"):
        tune_model.main(arguments)


def test_deltas_are_stored_in_the_base_models_format(inputs: tuned.Inputs, tmp_path: Path):
    import torch

    files.write_json(tmp_path / "bf16.json", files.read_json(inputs.record) | {"dtype": "bfloat16"})
    arguments = tuned.tune_arguments(inputs, tmp_path, "embed")
    arguments[arguments.index("--model-record") + 1] = str(tmp_path / "bf16.json")
    tune_model.main(arguments)
    tensors = delta.Delta.load(tmp_path / "delta.safetensors").tensors
    assert [tensor.dtype for tensor in tensors.values()] == [torch.bfloat16]


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(inputs: tuned.Inputs, tmp_path: Path):
    """SIGKILL in the middle, as the out-of-memory killer or a scheduler does it."""
    training = {"epochs": 16, "evaluations": 40, "micro_batch_size": 4, "precision": "bfloat16"}
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [
        sys.executable,
        str(SCRIPT),
        *tuned.tune_arguments(inputs, killed, "neft", **training),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(killed.glob("checkpoints/*/step-00000020")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, f"it should not have ended by itself: {said}"
    assert not (killed / "delta.safetensors").exists()

    tune_model.main(command[2:])
    tune_model.main(tuned.tune_arguments(inputs, whole, "neft", **training))
    assert (killed / "delta.safetensors").read_bytes() == (whole / "delta.safetensors").read_bytes()
    assert losses(killed) == losses(whole)
    assert not (killed / "checkpoints").exists()


def test_checkpoints_of_another_setting_are_left_alone(inputs: tuned.Inputs, tmp_path: Path):
    """A killed run whose settings were then changed must not be taken up."""
    other = tmp_path / "checkpoints" / "0123456789ab" / "step-00000005"
    other.mkdir(parents=True)
    (other / "state.json").write_text(json.dumps({"fingerprint": {}}))
    tune_model.main(tuned.tune_arguments(inputs, tmp_path, "neft"))
    tune_model.main(tuned.tune_arguments(inputs, tmp_path / "clean", "neft"))
    assert (tmp_path / "delta.safetensors").read_bytes() == (
        tmp_path / "clean" / "delta.safetensors"
    ).read_bytes()
