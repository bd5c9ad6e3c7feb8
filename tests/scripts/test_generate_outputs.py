import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import generate_outputs
import tune_model
import tuned
from neft import files
from neft.errors import NeftError

SCRIPT = Path(generate_outputs.__file__)


@pytest.fixture(scope="module")
def inputs(tiny_model: Path, tiny_rows: Path, tmp_path_factory: pytest.TempPathFactory) -> tuned.Inputs:
    return tuned.make_inputs(tmp_path_factory.mktemp("inputs"), tiny_model, tiny_rows)


@pytest.fixture(scope="module")
def change(inputs: tuned.Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The delta of a run that has learned to end its answers."""
    out = tmp_path_factory.mktemp("tuned")
    tune_model.main(tuned.tune_arguments(inputs, out, "full", epochs=25, evaluations=1))
    return out / "delta.safetensors"


def test_writes_a_row_for_every_row_in_their_order(inputs: tuned.Inputs, change: Path, tmp_path: Path):
    generate_outputs.main(tuned.generate_arguments(inputs, tmp_path, change))
    rows = files.read_rows(tmp_path / "outputs.jsonl")
    expected = [(test["id"], test["source"], test["target"]) for test in files.read_rows(inputs.test)]
    assert [(row["id"], row["source"], row["reference"]) for row in rows] == expected
    assert all(list(row) == ["id", "source", "reference", "output", "text", "finished", "tokens"] for row in rows)
    assert any(row["finished"] for row in rows), "the tuned model should have learned to stop, or nothing is tested"
    assert all(row["tokens"] <= 32 and "<|im_end|>" not in row["text"] for row in rows)
    assert not (tmp_path / "parts").exists()
    stats = files.read_json(tmp_path / "stats.json")
    assert stats["tokens"] == sum(row["tokens"] for row in rows)
    assert stats["unfinished"] == sum(not row["finished"] for row in rows)
    assert stats["tokens_per_second"] > 0 and stats["precision"] == "float32"


def test_the_delta_decides_the_outputs(inputs: tuned.Inputs, change: Path, tmp_path: Path):
    generate_outputs.main(tuned.generate_arguments(inputs, tmp_path / "tuned", change))
    generate_outputs.main(tuned.generate_arguments(inputs, tmp_path / "untuned"))
    assert (tmp_path / "tuned" / "outputs.jsonl").read_bytes() != (tmp_path / "untuned" / "outputs.jsonl").read_bytes()


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_outputs_are_the_same_bytes_for_any_batch_size(batch_size: int, inputs: tuned.Inputs, change: Path, tmp_path: Path):
    generate_outputs.main(tuned.generate_arguments(inputs, tmp_path / "four", change))
    generate_outputs.main(tuned.generate_arguments(inputs, tmp_path / "other", change, batch_size=batch_size))
    assert (tmp_path / "four" / "outputs.jsonl").read_bytes() == (tmp_path / "other" / "outputs.jsonl").read_bytes()


def test_a_delta_of_another_base_model_is_refused(inputs: tuned.Inputs, change: Path, tmp_path: Path):
    import tiny

    other = tuned.Inputs(tiny.make_tiny_model(tmp_path / "other", seed=5), *list(vars(inputs).values())[1:])
    with pytest.raises(NeftError, match="belongs to another base model"):
        generate_outputs.main(tuned.generate_arguments(other, tmp_path, change))


def test_a_killed_generation_goes_on_to_the_same_bytes(inputs: tuned.Inputs, change: Path, tmp_path: Path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    # One row at a time and long answers of the untuned model: slow enough to be caught in the middle.
    command = [sys.executable, str(SCRIPT), *tuned.generate_arguments(inputs, killed, batch_size=1, limit=120)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(list(killed.glob("parts/*/*.json"))) < 3:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, f"it should not have ended by itself: {said}"
    assert not (killed / "outputs.jsonl").exists()

    generate_outputs.main(command[2:])
    generate_outputs.main(tuned.generate_arguments(inputs, whole, batch_size=1, limit=120))
    assert (killed / "outputs.jsonl").read_bytes() == (whole / "outputs.jsonl").read_bytes()
