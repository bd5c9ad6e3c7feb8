import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tuned
from neft.errors import NeftError
from neft.generation.likelihood import log_likelihoods
from neft.storage import files
from scripts.generate import generate_outputs
from scripts.tune import tune_model

SCRIPT = Path(generate_outputs.__file__)


@pytest.fixture(scope="module")
def inputs(
    tiny_model: Path, tiny_rows: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuned.Inputs:
    return tuned.make_inputs(tmp_path_factory.mktemp("inputs"), tiny_model, tiny_rows)


@pytest.fixture(scope="module")
def change(inputs: tuned.Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The delta of a run that has learned to end its answers."""
    out = tmp_path_factory.mktemp("tuned")
    tune_model.main(tuned.tune_arguments(inputs, out, "full", epochs=25, evaluations=1))
    return out / "delta.safetensors"


def test_writes_a_row_for_every_row_in_their_order(
    inputs: tuned.Inputs, change: Path, tmp_path: Path
):
    generate_outputs.main(tuned.generate_arguments(inputs, tmp_path, change))
    rows = files.read_rows(tmp_path / "outputs.jsonl")
    expected = [
        (test["id"], test["source"], test["target"]) for test in files.read_rows(inputs.test)
    ]
    assert [(row["id"], row["source"], row["reference"]) for row in rows] == expected
    assert all(
        list(row) == ["id", "source", "reference", "output", "text", "finished", "tokens"]
        for row in rows
    )
    assert any(row["finished"] for row in rows), (
        "the tuned model should have learned to stop, or nothing is tested"
    )
    assert all(row["tokens"] <= 32 and "<|im_end|>" not in row["text"] for row in rows)
    assert not (tmp_path / "parts").exists()
    stats = files.read_json(tmp_path / "stats.json")
    assert stats["tokens"] == sum(row["tokens"] for row in rows)
    assert stats["unfinished"] == sum(not row["finished"] for row in rows)
    assert stats["tokens_per_second"] > 0 and stats["precision"] == "float32"


def test_the_delta_decides_the_outputs(inputs: tuned.Inputs, change: Path, tmp_path: Path):
    generate_outputs.main(tuned.generate_arguments(inputs, tmp_path / "tuned", change))
    generate_outputs.main(tuned.generate_arguments(inputs, tmp_path / "untuned"))
    assert (tmp_path / "tuned" / "outputs.jsonl").read_bytes() != (
        tmp_path / "untuned" / "outputs.jsonl"
    ).read_bytes()


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_outputs_are_the_same_bytes_for_any_batch_size(
    batch_size: int, inputs: tuned.Inputs, change: Path, tmp_path: Path
):
    generate_outputs.main(tuned.generate_arguments(inputs, tmp_path / "four", change))
    generate_outputs.main(
        tuned.generate_arguments(inputs, tmp_path / "other", change, batch_size=batch_size)
    )
    assert (tmp_path / "four" / "outputs.jsonl").read_bytes() == (
        tmp_path / "other" / "outputs.jsonl"
    ).read_bytes()


def test_a_delta_of_another_base_model_is_refused(
    inputs: tuned.Inputs, change: Path, tmp_path: Path
):
    import tiny

    other = tuned.Inputs(
        tiny.make_tiny_model(tmp_path / "other", seed=5), *list(vars(inputs).values())[1:]
    )
    with pytest.raises(NeftError, match="belongs to another base model"):
        generate_outputs.main(tuned.generate_arguments(other, tmp_path, change))


NLI = {
    "kind": "nli",
    "language": "en",
    "labels": {"same": "oui", "other": "peut-être", "opposite": "non"},
    "answers": "likelihood",
    "prompt": "{premise} / {hypothesis}?",
}


def nli_arguments(
    inputs: tuned.Inputs, out: Path, batch_size: int = 4, **task: object
) -> list[str]:
    """The command line for nine premises and hypotheses; the untuned model answers."""
    test = out / "nli.jsonl"
    pairs = [
        ("Open the file" + " now" * n, "Close it" + " again" * (n % 3), label)
        for n, label in enumerate([*NLI["labels"]] * 3)
    ]
    files.write_rows(
        test,
        [
            {"id": n, "premise": p, "hypothesis": h, "label": label}
            for n, (p, h, label) in enumerate(pairs)
        ],
    )
    arguments = tuned.generate_arguments(inputs, out, batch_size=batch_size)
    spec = json.loads(arguments[1]) | {"task": NLI | task}
    return [
        json.dumps(spec) if n == 1 else str(test) if word == str(inputs.test) else word
        for n, word in enumerate(arguments)
    ]


def test_of_the_allowed_answers_the_likeliest_is_taken(inputs: tuned.Inputs, tmp_path: Path):
    generate_outputs.main(nli_arguments(inputs, tmp_path))
    rows = files.read_rows(tmp_path / "outputs.jsonl")
    assert [row["reference"] for row in rows] == ["oui", "peut-être", "non"] * 3
    assert rows[1]["source"] == "Open the file now\nClose it again"
    for row in rows:
        assert list(row["scores"]) == ["oui", "peut-être", "non"]
        assert row["output"] == row["text"] == max(row["scores"], key=row["scores"].get)
        assert row["finished"] and all(score < 0 for score in row["scores"].values())
    stats = files.read_json(tmp_path / "stats.json")
    assert (stats["unfinished"], stats["extra_lines"], stats["cut"]) == (0, 0, 0)
    assert not (tmp_path / "parts").exists()


@pytest.mark.parametrize("batch_size", [1, 9])
def test_likelihoods_do_not_depend_on_the_batch_size(
    batch_size: int, inputs: tuned.Inputs, tmp_path: Path
):
    generate_outputs.main(nli_arguments(inputs, tmp_path / "four"))
    generate_outputs.main(nli_arguments(inputs, tmp_path / "other", batch_size))
    four, other = (files.read_rows(tmp_path / name / "outputs.jsonl") for name in ("four", "other"))
    assert [row | {"scores": 0} for row in four] == [row | {"scores": 0} for row in other]
    for one, same in zip(four, other, strict=True):
        assert one["scores"] == pytest.approx(same["scores"], abs=2e-4)


def test_finished_batches_of_likelihoods_are_not_computed_again(
    inputs: tuned.Inputs, tmp_path: Path, monkeypatch
):
    done: list[int] = []

    def killed_at_the_third(model, prompts, answers):
        done.append(len(prompts))
        if len(done) == 3:
            raise KeyboardInterrupt
        return log_likelihoods(model, prompts, answers)

    generate_outputs.main(nli_arguments(inputs, tmp_path / "whole"))
    monkeypatch.setattr(generate_outputs, "log_likelihoods", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        generate_outputs.main(nli_arguments(inputs, tmp_path / "killed"))
    assert not (tmp_path / "killed/outputs.jsonl").exists()
    generate_outputs.main(nli_arguments(inputs, tmp_path / "killed"))
    assert done == [4, 4, 1, 1], "two batches of four and the one of one row that was not finished"
    assert (tmp_path / "killed/outputs.jsonl").read_bytes() == (
        tmp_path / "whole/outputs.jsonl"
    ).read_bytes()


def test_generated_labels_are_read_from_the_text(inputs: tuned.Inputs, tmp_path: Path):
    generate_outputs.main(nli_arguments(inputs, tmp_path, answers="generated"))
    rows = files.read_rows(tmp_path / "outputs.jsonl")
    assert all(
        "scores" not in row and row["output"] in {"", *NLI["labels"].values()} for row in rows
    )


def test_a_label_without_a_word_ends_the_job_with_its_row(inputs: tuned.Inputs, tmp_path: Path):
    with pytest.raises(
        NeftError, match=r"row 2 .* its label 'opposite' is no key of task.labels: same, other"
    ):
        generate_outputs.main(
            nli_arguments(inputs, tmp_path, labels={"same": "oui", "other": "non"})
        )


def test_a_prompt_that_does_not_fit_into_the_model_is_named(inputs: tuned.Inputs, tmp_path: Path):
    with pytest.raises(
        NeftError, match=r"test.jsonl: 10 of 10 rows don't fit into the model's 256 positions"
    ):
        generate_outputs.main(tuned.generate_arguments(inputs, tmp_path, limit=250))


def test_a_killed_generation_goes_on_to_the_same_bytes(
    inputs: tuned.Inputs, change: Path, tmp_path: Path
):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    # One row at a time and long answers of the untuned model: slow enough to be caught in the
    # middle.
    command = [
        sys.executable,
        str(SCRIPT),
        *tuned.generate_arguments(inputs, killed, batch_size=1, limit=120),
    ]
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
