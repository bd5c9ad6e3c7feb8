import json
from pathlib import Path

import torch

import tuned
from neft.models import runtime
from neft.storage import files
from scripts.select import train_probe


def test_writes_the_whole_tuned_model_in_float32(tiny_model: Path, tiny_rows: Path, tmp_path: Path):
    inputs = tuned.make_inputs(tmp_path, tiny_model, tiny_rows)
    out = tmp_path / "probe"
    (out / "model").mkdir(parents=True)
    (out / "model" / "leftover").write_text("of a former run")
    train_probe.main(tuned.probe_arguments(inputs, out))
    assert {file.name for file in out.iterdir()} == {"model", "metrics.json", "history.jsonl"}
    assert not (out / "model" / "leftover").exists()
    tuned_model, tokenizer = runtime.load_model(out / "model", "float32")
    base, _ = runtime.load_model(tiny_model, "float32")
    assert (
        tokenizer.chat_template
        and json.loads((out / "model" / "config.json").read_text())["dtype"] == "float32"
    )
    for (name, now), former in zip(tuned_model.named_parameters(), base.parameters(), strict=True):
        assert not torch.equal(now, former), name


def test_takes_exactly_the_steps_asked_for_and_keeps_the_last_state(
    tiny_model: Path, tiny_rows: Path, tmp_path: Path
):
    inputs = tuned.make_inputs(tmp_path, tiny_model, tiny_rows)
    train_probe.main(tuned.probe_arguments(inputs, tmp_path / "probe", steps=7))
    metrics = files.read_json(tmp_path / "probe" / "metrics.json")
    assert (metrics["steps"], metrics["best_step"], metrics["kind"], metrics["method"]) == (
        7,
        7,
        "full",
        "probe",
    )
    assert metrics["percent"] == 100


def test_a_probe_of_one_step_and_the_first_step_of_a_longer_one_move_every_weight(
    tiny_model: Path, tiny_rows: Path, tmp_path: Path
):
    inputs = tuned.make_inputs(tmp_path, tiny_model, tiny_rows)
    base, _ = runtime.load_model(tiny_model, "float32")
    for name, options in (("one", {"steps": 1}), ("early", {"steps": 40, "stop": 1})):
        train_probe.main(tuned.probe_arguments(inputs, tmp_path / name, **options))
        probe, _ = runtime.load_model(tmp_path / name / "model", "float32")
        for (key, now), former in zip(probe.named_parameters(), base.parameters(), strict=True):
            assert not torch.equal(now, former), (name, key)


def test_an_early_end_is_the_state_that_the_whole_run_has_then(
    tiny_model: Path, tiny_rows: Path, tmp_path: Path
):
    inputs = tuned.make_inputs(tmp_path, tiny_model, tiny_rows)
    train_probe.main(
        tuned.probe_arguments(inputs, tmp_path / "whole", steps=4)
    )  # evaluated after each of its steps
    train_probe.main(tuned.probe_arguments(inputs, tmp_path / "early", steps=4, stop=3))
    train_probe.main(tuned.probe_arguments(inputs, tmp_path / "short", steps=3))
    losses = {
        name: [
            (row["split"], row["step"], row["loss"])
            for row in files.read_rows(tmp_path / name / "history.jsonl")
        ]
        for name in ("whole", "early", "short")
    }
    assert losses["early"] == [row for row in losses["whole"] if row[1] <= 3]
    assert losses["short"][-1] != losses["early"][-1]  # its learning rate falls faster
    assert files.read_json(tmp_path / "early" / "metrics.json")["steps"] == 3
