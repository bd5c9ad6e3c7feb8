from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import benchmark_rows
import tuned
from neft.data.tasks import mmlu
from neft.models import runtime
from neft.storage import files
from scripts.generate import run_benchmark
from scripts.tune import tune_model

SCRIPT = Path(run_benchmark.__file__)
IFEVAL = {"kind": "ifeval", "max_new_tokens": 40, "system": None}
MMLU = {"kind": "mmlu", "shots": 2, "examples": "dev", "chat_template": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    benchmark_rows.write_punkt(folder)
    return {
        "punkt": folder / "tokenizers" / "punkt_tab" / "english",
        "ifeval": benchmark_rows.write(folder / "ifeval.jsonl", benchmark_rows.ifeval_rows()),
        "mmlu": benchmark_rows.write(
            folder / "mmlu.jsonl", benchmark_rows.questions(benchmark_rows.QUESTIONS)
        ),
        "dev": benchmark_rows.write(
            folder / "dev.jsonl", benchmark_rows.questions(benchmark_rows.EXAMPLES)
        ),
    }


def ifeval_arguments(
    model: Path, out: Path, data: dict[str, Path], *more: str, task=None, batch_size: int = 4
) -> list[str]:
    punkt = ["--punkt", *map(str, sorted(data["punkt"].iterdir()))]
    return benchmark_rows.arguments(
        model, out, task or IFEVAL, data["ifeval"], *punkt, *more, batch_size=batch_size
    )


def mmlu_arguments(
    model: Path, out: Path, data: dict[str, Path], *more: str, task=None, batch_size: int = 4
) -> list[str]:
    examples = ["--examples", str(data["dev"])]
    return benchmark_rows.arguments(
        model, out, task or MMLU, data["mmlu"], *examples, *more, batch_size=batch_size
    )


def test_ifeval_writes_answers_with_a_verdict_for_every_instruction(
    tiny_model: Path, data, tmp_path: Path
):
    run_benchmark.main(ifeval_arguments(tiny_model, tmp_path, data))
    rows = files.read_rows(tmp_path / "outputs.jsonl")
    assert [(row["id"], row["source"], row["instructions"]) for row in rows] == [
        (n, prompt, list(instructions))
        for n, (prompt, instructions) in enumerate(benchmark_rows.IFEVAL)
    ]
    assert all(len(row["strict"]) == len(row["loose"]) == len(row["instructions"]) for row in rows)
    stats = files.read_json(tmp_path / "stats.json")
    assert (
        stats["results"]["ifeval"]["prompt_level_strict_acc,none"]
        == sum(all(row["strict"]) for row in rows) / 4
    )
    assert stats["tokens"] == sum(row["tokens"] for row in rows) and stats["lm_eval"]
    assert not (tmp_path / "parts").exists()


def test_ifeval_answers_are_those_of_generate_outputs(tiny_model: Path, data, tmp_path: Path):
    """The same chat template, stops and decoding as for any other test set."""
    from scripts.generate import generate_outputs

    run_benchmark.main(ifeval_arguments(tiny_model, tmp_path, data))
    rows = [
        {"id": row["id"], "source": row["prompt"], "target": "x"}
        for row in files.read_rows(data["ifeval"])
    ]
    test = benchmark_rows.write(tmp_path / "test.jsonl", rows, numbered=False)
    inputs = tuned.Inputs(tiny_model, *[test] * 5)
    task = tuned.TASK | {"prompt": "{source}"}
    arguments = tuned.generate_arguments(inputs, tmp_path / "plain", limit=40)
    spec = {"task": task}
    spec |= {"max_new_tokens": 40, "precision": "float32"}
    arguments[arguments.index("--spec") + 1] = json.dumps(spec)
    generate_outputs.main(arguments)
    plain = files.read_rows(tmp_path / "plain" / "outputs.jsonl")
    assert [row["text"] for row in plain] == [
        row["text"] for row in files.read_rows(tmp_path / "outputs.jsonl")
    ]


@pytest.mark.parametrize("times", [1, 20])
def test_the_likeliest_letter_is_that_of_a_naive_computation(
    times: int, tiny_model: Path, data, tmp_path: Path
):
    """Also where a prompt is longer than the model's context (256 places) and loses its
    beginning.
    """
    import torch

    docs = [
        row | {"question": row["question"] * times}
        for row in benchmark_rows.questions(benchmark_rows.QUESTIONS)
    ]
    run_benchmark.main(
        mmlu_arguments(
            tiny_model,
            tmp_path,
            data | {"mmlu": benchmark_rows.write(tmp_path / "docs.jsonl", docs)},
        )
    )
    rows = files.read_rows(tmp_path / "outputs.jsonl")
    model, tokenizer = runtime.load_model(tiny_model, "float32")
    examples, cut = benchmark_rows.questions(benchmark_rows.EXAMPLES), 0
    for row, doc in zip(rows, docs, strict=True):
        subject = doc["subject"].removesuffix("_val")
        shown = [example for example in examples if example["subject"] == f"{subject}_dev"][:2]
        prompt = (
            "The following are multiple choice questions (with answers) about"
            f" {subject.replace('_', ' ')}.\n\n"
        )
        prompt += "".join(f"{mmlu.source(one)}\nAnswer: {one['answer']}\n\n" for one in shown)
        prompt += f"{mmlu.source(doc)}\nAnswer:"
        naive = {}
        for letter in "ABCD":
            # The last token is only predicted, it takes no place.
            ids = torch.tensor([tokenizer(f"{prompt} {letter}")["input_ids"][-257:]])
            with torch.inference_mode():
                predicted = model(ids[:, :-1]).logits[0].log_softmax(-1)
            count = len(tokenizer(f"{prompt} {letter}")["input_ids"]) - len(
                tokenizer(prompt)["input_ids"]
            )
            naive[letter] = predicted.gather(1, ids[0, 1:, None])[-count:].sum().item()
        cut += len(tokenizer(f"{prompt} A")["input_ids"]) > 257
        assert row["scores"] == pytest.approx(naive, abs=1e-4)
        assert row["output"] == max(naive, key=naive.get) and row["reference"] == doc["answer"]
    stats = files.read_json(tmp_path / "stats.json")
    assert stats["cut"] == cut and (cut > 0) == (times > 1)
    results = stats["results"]
    right = sum(row["output"] == row["reference"] for row in rows)
    assert right == pytest.approx(
        sum(one["acc,none"] * one["sample_len"] for one in results.values())
    )


@pytest.mark.parametrize("batch_size", [1, 3])
def test_outputs_do_not_depend_on_the_batch_size(
    batch_size: int, tiny_model: Path, data, tmp_path: Path
):
    for make in (ifeval_arguments, mmlu_arguments):
        run_benchmark.main(make(tiny_model, tmp_path / "four", data))
        run_benchmark.main(make(tiny_model, tmp_path / "other", data, batch_size=batch_size))
        four, other = (
            files.read_rows(tmp_path / name / "outputs.jsonl") for name in ("four", "other")
        )
        for a, b in zip(four, other, strict=True):
            assert a.pop("scores", {}) == pytest.approx(b.pop("scores", {}), abs=1e-4)
            assert a == b


def test_the_chat_template_is_an_option_of_mmlu(tiny_model: Path, data, tmp_path: Path):
    run_benchmark.main(mmlu_arguments(tiny_model, tmp_path / "plain", data))
    run_benchmark.main(
        mmlu_arguments(tiny_model, tmp_path / "chat", data, task=MMLU | {"chat_template": True})
    )
    plain, chat = (files.read_rows(tmp_path / name / "outputs.jsonl") for name in ("plain", "chat"))
    assert [row["scores"] for row in plain] != [row["scores"] for row in chat]


def test_a_delta_changes_the_answers(tiny_model: Path, tiny_rows: Path, data, tmp_path: Path):
    inputs = tuned.make_inputs(tmp_path, tiny_model, tiny_rows)
    tune_model.main(tuned.tune_arguments(inputs, tmp_path / "run", "full", epochs=1, evaluations=1))
    delta = ["--delta", str(tmp_path / "run" / "delta.safetensors")]
    run_benchmark.main(mmlu_arguments(tiny_model, tmp_path / "tuned", data, *delta))
    run_benchmark.main(mmlu_arguments(tiny_model, tmp_path / "untuned", data))
    assert (tmp_path / "tuned" / "outputs.jsonl").read_bytes() != (
        tmp_path / "untuned" / "outputs.jsonl"
    ).read_bytes()


@pytest.mark.parametrize("make", [ifeval_arguments, mmlu_arguments])
def test_a_killed_run_goes_on_to_the_same_bytes_and_writes_nowhere_else(
    make, tiny_model: Path, data, tmp_path: Path
):
    killed, whole, home = tmp_path / "killed", tmp_path / "whole", tmp_path / "home"
    home.mkdir()
    task = IFEVAL | {"max_new_tokens": 120} if make is ifeval_arguments else MMLU
    command = [
        sys.executable,
        str(SCRIPT),
        *make(tiny_model, killed, data, task=task, batch_size=1),
    ]
    places = {
        "HOME": str(home),
        "HF_HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | places)
    while process.poll() is None and len(list(killed.glob("parts/*/*.json"))) < 2:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, f"it should not have ended by itself: {said}"
    assert not (killed / "outputs.jsonl").exists() and not list(home.rglob("*"))

    run_benchmark.main(command[2:])
    run_benchmark.main(make(tiny_model, whole, data, task=task, batch_size=1))
    assert (killed / "outputs.jsonl").read_bytes() == (whole / "outputs.jsonl").read_bytes()
