"""Hidden states from the command line's arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

import tuned
from neft.data import encode
from neft.data.tasks import nli
from neft.errors import NeftError
from neft.selection.states import States
from neft.storage.files import write_rows
from scripts.select import read_states

TASK = {
    "kind": "nli",
    "language": "en",
    "labels": {"0": "yes", "1": "maybe", "2": "no"},
    "answers": "likelihood",
    "system": None,
    "prompt": "{premise} So {hypothesis}?",
}


def read(inputs: tuned.Inputs, tmp_path: Path, max_length: int = 512) -> States:
    rows = [
        {
            "id": n,
            "premise": f"Save file {n}" * (1 + n % 2),
            "hypothesis": "it is open",
            "label": str(n % 3),
        }
        for n in range(9)
    ]
    for name, part in (("train", rows[:6]), ("dev", rows[6:])):
        write_rows(tmp_path / f"{name}.jsonl", part)
    spec = {
        "task": TASK,
        "max_length": max_length,
        "precision": "float32",
    }
    files = [
        "--model",
        str(inputs.model),
        "--model-record",
        str(inputs.record),
        "--states",
        str(tmp_path / "states"),
    ]
    splits = ["--train", str(tmp_path / "train.jsonl"), "--dev", str(tmp_path / "dev.jsonl")]
    read_states.main(["--spec", json.dumps(spec), *files, *splits])
    return States.load(tmp_path / "states")


def test_every_row_has_its_class_and_a_mean_for_each_layer(
    tiny_model: Path, tiny_rows: Path, tmp_path: Path
):
    states = read(tuned.make_inputs(tmp_path, tiny_model, tiny_rows), tmp_path)
    assert states.choices == ["yes", "maybe", "no"]
    assert states.classes["train"].tolist() == [0, 1, 2, 0, 1, 2] and states.classes[
        "dev"
    ].tolist() == [0, 1, 2]
    assert [tuple(mean.shape) for mean in states.means["train"]] == [(6, 32)] * 2
    assert [tuple(mean.shape) for mean in states.means["dev"]] == [(3, 32)] * 2


def test_prompts_that_are_too_long_are_left_out_with_their_classes(
    tiny_model: Path, tiny_rows: Path, tmp_path: Path
):
    inputs = tuned.make_inputs(tmp_path, tiny_model, tiny_rows)
    whole = read(inputs, tmp_path)
    row = json.loads((tmp_path / "train.jsonl").read_text().splitlines()[0])
    short = len(
        encode.prompt_ids(
            AutoTokenizer.from_pretrained(tiny_model),
            nli.messages(row, nli.Spec.model_validate(TASK)),
        )
    )
    shorter = read(inputs, tmp_path, short)
    assert shorter.classes["train"].tolist() == [0, 2, 1]  # every other row says its premise twice
    for some, all_rows in zip(shorter.means["train"], whole.means["train"], strict=True):
        torch.testing.assert_close(some, all_rows[::2], rtol=1e-4, atol=1e-6)


def test_no_prompt_that_is_short_enough_is_an_error(
    tiny_model: Path, tiny_rows: Path, tmp_path: Path
):
    with pytest.raises(NeftError, match=r"train.jsonl: no prompt of at most 3 tokens"):
        read(tuned.make_inputs(tmp_path, tiny_model, tiny_rows), tmp_path, 3)
