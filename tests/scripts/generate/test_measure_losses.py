from pathlib import Path

import pytest
import torch

import tuned
from neft import plugins
from neft.data import encode
from neft.errors import NeftError
from neft.generation.likelihood import log_likelihoods
from neft.models import runtime
from neft.storage import files
from scripts.generate import measure_losses


@pytest.fixture(scope="module")
def inputs(
    tiny_model: Path, tiny_rows: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuned.Inputs:
    return tuned.make_inputs(tmp_path_factory.mktemp("inputs"), tiny_model, tiny_rows)


def measure(inputs: tuned.Inputs, out: Path, batch_size: int = 4) -> list[dict]:
    measure_losses.main(tuned.losses_arguments(inputs, out, batch_size))
    return files.read_rows(out / "losses.jsonl")


def test_a_rows_loss_is_the_likelihood_of_its_answer(inputs: tuned.Inputs, tmp_path: Path):
    """Against the other path: prompts padded on the left, answers read from a cache."""
    found = measure(inputs, tmp_path)
    model, tokenizer = runtime.load_model(inputs.model, "float32")
    task, spec, stops = (
        plugins.load("tasks", "translation"),
        tuned.task(),
        encode.stop_tokens(model, tokenizer),
    )
    rows = files.read_rows(inputs.test)
    pairs = [
        encode.choices(tokenizer, task.messages(row, spec), [row["target"]], stops) for row in rows
    ]
    wanted = [log_likelihoods(model, [prompt], [answers])[0][0] for prompt, answers in pairs]
    assert [-row["loss"] for row in found] == pytest.approx(wanted, abs=1e-3)
    assert [row["tokens"] for row in found] == [len(answers[0]) for _, answers in pairs]
    assert [(row["id"], row["source"], row["reference"]) for row in found] == [
        (row["id"], row["source"], row["target"]) for row in rows
    ]
    assert not (tmp_path / "parts").exists()


def test_the_batch_size_changes_rounding_alone(inputs: tuned.Inputs, tmp_path: Path):
    one, many = measure(inputs, tmp_path / "1", 1), measure(inputs, tmp_path / "7", 7)
    assert [row["loss"] for row in one] == pytest.approx([row["loss"] for row in many], abs=1e-3)
    assert [row["right"] for row in one] == [row["right"] for row in many]


def test_a_row_that_the_model_has_no_room_for_is_named(inputs: tuned.Inputs, tmp_path: Path):
    rows = files.read_rows(inputs.test)
    room = runtime.load_model(inputs.model, "float32")[0].config.max_position_embeddings
    long = tmp_path / "long.jsonl"
    files.write_rows(long, [*rows, {"id": 99, "source": "hello", "target": "x " * room}])
    inputs = tuned.Inputs(**{**vars(inputs), "test": long})
    with pytest.raises(NeftError, match=r"long\.jsonl: 1 of 11 rows don't fit .* row 99"):
        measure(inputs, tmp_path)


def test_it_draws_nothing(inputs: tuned.Inputs, tmp_path: Path):
    before = torch.get_rng_state()
    measure(inputs, tmp_path)
    assert torch.equal(before, torch.get_rng_state())
