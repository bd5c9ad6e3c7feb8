"""Full disks, little memory, losses that are no numbers, damaged files: a script says what happened
and where.

It leaves nothing half done; started again when there is room, it ends with the same bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import finished
import forked
import tiny
import tuned
from neft.core.delta import Delta
from neft.storage import files, folders
from scripts.data import read_source
from scripts.generate import generate_outputs
from scripts.model import prepare_model
from scripts.report import make_table
from scripts.score import score_outputs
from scripts.select import compare_neurons, select_neurons
from scripts.tune import tune_model

Command = tuple[ModuleType, list[object]]
MEMORY = 300 * 2**20
"""Bytes that a tuning may take: less than eight rows of the test's model need at once, more than
one does.
"""


@pytest.fixture(scope="module")
def inputs(
    tiny_model: Path, tiny_rows: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuned.Inputs:
    return tuned.make_inputs(tmp_path_factory.mktemp("inputs"), tiny_model, tiny_rows)


def model(inputs: tuned.Inputs, out: Path) -> Command:
    spec = {"source": {"kind": "files", "path": str(inputs.model)}, "dtype": "float32"}
    paths = ["--paths", inputs.model, "--folder", out / "model", "--record", out / "model.json"]
    return prepare_model, ["--spec", json.dumps(spec), *paths]


def pool(inputs: tuned.Inputs, out: Path) -> Command:
    spec = {
        "source": {"kind": "files", "paths": ["x.jsonl"]},
        "shares": [1],
        "task": "translation",
        "filter": {},
        "seed": 1,
    }
    return read_source, [
        "--spec",
        json.dumps(spec),
        "--paths",
        inputs.train,
        "--pool",
        out / "pool.jsonl",
        "--counts",
        out / "counts.json",
    ]


def mask(inputs: tuned.Inputs, out: Path) -> Command:
    spec = {
        "kind": "random",
        "fraction": 0.1,
        "modules": ["up_proj"],
        "axis": "natural",
        "scope": "global",
    }
    paths = [
        "--model",
        inputs.model,
        "--model-record",
        inputs.record,
        "--mask",
        out / "mask.safetensors",
        "--record",
        out / "mask.json",
    ]
    return select_neurons, ["--spec", json.dumps({"mask": spec}), *paths]


def delta(inputs: tuned.Inputs, out: Path) -> Command:
    return tune_model, tuned.tune_arguments(inputs, out, "full", epochs=1, evaluations=1)


def checkpoint(inputs: tuned.Inputs, out: Path) -> Command:
    return tune_model, tuned.tune_arguments(inputs, out, "full", epochs=1, evaluations=2)


def outputs(inputs: tuned.Inputs, out: Path) -> Command:
    return generate_outputs, tuned.generate_arguments(inputs, out, batch_size=1, limit=16)


def score(inputs: tuned.Inputs, out: Path) -> Command:
    rows = [
        row | {"output": row["target"], "reference": row["target"], "text": row["target"]}
        for row in files.read_rows(inputs.train)
    ]
    files.write_rows(out.with_suffix(".rows"), rows)
    spec = {"metric": {"kind": "chrf", "word_order": 2, "bootstrap": 100}, "language": "fr"}
    return score_outputs, [
        "--spec",
        json.dumps(spec),
        "--outputs",
        out.with_suffix(".rows"),
        "--score",
        out / "score.json",
    ]


def table(inputs: tuned.Inputs, out: Path) -> Command:
    runs = finished.runs(methods=("base", "full"))
    finished.write(out.with_suffix(".finished"), runs, rows=5)
    paths = [
        part
        for kind in ("csv", "markdown", "latex", "html")
        for part in (f"--{kind}", out / f"main.{kind}")
    ]
    return make_table, [
        "--spec",
        finished.spec(runs, title="Results", baseline="full"),
        "--results",
        out.with_suffix(".finished"),
        *paths,
    ]


def succeeds(command: Command) -> None:
    status, said = forked.run(*command)
    assert status == 0, said


def same(name: str, one: Path, other: Path) -> bool:
    """Whether two results are the same but for what was measured."""
    contents = [
        {
            path.name: path.read_bytes()
            for path in sorted(
                (folder / name).rglob("*") if (folder / name).is_dir() else [folder / name]
            )
        }
        for folder in (one, other)
    ]
    return contents[0] == contents[1] and bool(contents[0])


@pytest.mark.parametrize(
    ("make", "result", "named"),
    [
        (pool, "pool.jsonl", "pool.jsonl"),
        (model, "model", "/.model."),
        (mask, "mask.safetensors", "mask.safetensors"),
        (delta, "delta.safetensors", "delta.safetensors"),
        (checkpoint, "delta.safetensors", "checkpoints/"),
        (outputs, "outputs.jsonl", "outputs.jsonl"),
        (score, "score.json", "score.json"),
        (table, "main.html", "main."),
    ],
)
def test_a_full_disk_is_named_leaves_no_half_file_and_after_making_room_the_result_is_the_same(
    make: Callable[[tuned.Inputs, Path], Command],
    result: str,
    named: str,
    inputs: tuned.Inputs,
    tmp_path: Path,
):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    undisturbed.mkdir(), disturbed.mkdir()
    succeeds(make(inputs, undisturbed))
    size = max(
        path.stat().st_size
        for path in [undisturbed / result, *undisturbed.glob(f"{result}/*")]
        if path.is_file()
    )
    # A checkpoint holds more than the delta; of a small table already the first file is too large.
    limit = size // 2 if make is table else size - 1
    status, said = forked.run(*make(inputs, disturbed), file_size=limit)
    assert status == 1, said
    assert named in said and "can't be written: " in said and "make room and start again" in said
    assert "Traceback" not in said
    assert not (disturbed / result).exists()
    assert [path.name for path in disturbed.rglob(".*") if path.is_file()] == []
    succeeds(make(inputs, disturbed))
    assert same(result, undisturbed, disturbed)


def test_too_little_memory_names_the_setting_and_with_a_smaller_micro_batch_the_result_is_the_same(
    tmp_path: Path, tiny_rows: Path
):
    big = tiny.make_tiny_model(tmp_path / "big", intermediate=32768)
    inputs = tuned.make_inputs(tmp_path, big, tiny_rows)
    inputs.train.write_text(
        "".join(inputs.train.read_text().splitlines(keepends=True)[:8])
    )  # one step

    def tune(name: str, **options: int | None) -> tuple[int, str]:
        limits = {"memory": options.pop("memory")}
        return forked.run(
            tune_model,
            tuned.tune_arguments(
                inputs, tmp_path / name, "neft", epochs=1, evaluations=1, **options
            ),
            **limits,
        )

    assert tune("whole", memory=None)[0] == 0
    status, said = tune("starved", memory=MEMORY)
    assert status == 1, said
    assert (
        "error: out of memory in training: set training.micro_batch_size (now 8) to 4 or less;"
        " batches keep their 8 rows" in said
    )
    assert "Traceback" not in said
    status, said = tune("starved", memory=MEMORY, micro_batch_size=1)
    assert status == 0, said
    whole, parts = (
        files.read_json(tmp_path / name / "metrics.json") for name in ("whole", "starved")
    )
    assert (parts["train_tokens"], parts["steps"]) == (whole["train_tokens"], whole["steps"])
    # Not bit for bit: the gradients of a batch's parts are added in another order than those of its
    # rows at once.
    assert parts["dev_loss"] == pytest.approx(whole["dev_loss"], rel=1e-5)


def test_a_loss_that_becomes_no_number_is_a_result_that_says_at_which_step_and_rate(
    inputs: tuned.Inputs, tmp_path: Path
):
    arguments = tuned.tune_arguments(inputs, tmp_path, "full", epochs=4)
    spec = json.loads(arguments[1])
    spec["method"]["learning_rate"] = 1e20
    status, said = forked.run(tune_model, ["--spec", json.dumps(spec), *arguments[2:]])
    assert status == 0, said
    metrics = files.read_json(tmp_path / "metrics.json")
    assert metrics["dev_loss"] is None and metrics["diverged"].startswith("training diverged: ")
    assert "step" in metrics["diverged"] and "learning rate" in metrics["diverged"]
    assert (metrics["learning_rate"], metrics["epochs"]) == (1e20, 4)
    record = files.read_json(tmp_path / "delta.json")
    assert record["sha256"] == files.sha256(tmp_path / "delta.safetensors")
    assert Delta.load(tmp_path / "delta.safetensors").tensors == {}
    assert not (tmp_path / "checkpoints").exists()


@pytest.fixture
def prepared(inputs: tuned.Inputs, tmp_path: Path) -> Iterator[tuned.Inputs]:
    """The inputs of a tuning whose model lies beside its record, as in results/."""
    folder = Path(shutil.copytree(inputs.model, tmp_path / "base"))
    record = files.read_json(inputs.record) | {"files": folders.hashes(folder)}
    files.write_json(tmp_path / "base.json", record)
    yield tuned.Inputs(
        folder, tmp_path / "base.json", inputs.train, inputs.dev, inputs.test, inputs.mask
    )


def flip(path: Path, place: int = -2) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("damage", [flip, truncate])
def test_a_damaged_base_model_is_named_by_whatever_reads_it(
    prepared: tuned.Inputs, tmp_path: Path, damage
):
    damage(prepared.model / "model.safetensors")
    compare = [
        "--spec",
        '{"modules": ["up_proj"], "axis": "natural"}',
        "--base",
        prepared.model,
        "--tuned",
        prepared.model,
    ]
    for command in (
        (tune_model, tuned.tune_arguments(prepared, tmp_path, "neft")),
        (generate_outputs, tuned.generate_arguments(prepared, tmp_path)),
        (compare_neurons, [*compare, "--distances", tmp_path / "d", "--norms", tmp_path / "n"]),
    ):
        status, said = forked.run(*command)
        assert status == 1
        assert f"{prepared.model / 'model.safetensors'}: " in said and "Traceback" not in said
    assert "not the file that" in said and f"delete {prepared.model} and start again" in said


@pytest.mark.parametrize("damage", [flip, truncate])
def test_a_damaged_mask_delta_or_score_is_named_by_what_reads_it(
    inputs: tuned.Inputs, tmp_path: Path, damage
):
    broken = tmp_path / "mask.safetensors"
    shutil.copy(inputs.mask, broken)
    damage(broken)
    status, said = forked.run(
        tune_model,
        tuned.tune_arguments(tuned.Inputs(**vars(inputs) | {"mask": broken}), tmp_path, "neft"),
    )
    assert (status, f"error: {broken}: " in said, "Traceback" in said) == (1, True, False)

    succeeds(delta(inputs, tmp_path))
    damage(tmp_path / "delta.safetensors")
    status, said = forked.run(
        generate_outputs, tuned.generate_arguments(inputs, tmp_path, tmp_path / "delta.safetensors")
    )
    assert (status, f"error: {tmp_path / 'delta.safetensors'}: " in said, "Traceback" in said) == (
        1,
        True,
        False,
    )

    script, arguments = table(inputs, tmp_path / "table")
    scored = next((tmp_path / "table.finished/score").rglob("full/**/chrf.json"))
    text = scored.read_text()
    scored.write_text(text.replace('"n": 5', '"n": 4') if damage is flip else text[:-20])
    status, said = forked.run(script, arguments)
    assert (status, f"error: {scored}: " in said, "Traceback" in said) == (1, True, False)


@pytest.mark.parametrize("damage", [flip, truncate])
@pytest.mark.parametrize("name", ["optimizer.safetensors", "trained.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_named(inputs: tuned.Inputs, tmp_path: Path, name, damage):
    command = tuned.tune_arguments(inputs, tmp_path, "full", epochs=1, evaluations=2)
    metrics = command.index("--metrics") + 1
    blocked = [
        *command[:metrics],
        str(tmp_path / "delta.json" / "no-folder"),
        *command[metrics + 1 :],
    ]
    assert (
        forked.run(tune_model, blocked)[0] == 1
    )  # fails after training, when the checkpoint is there
    (checkpoint,) = tmp_path.glob("checkpoints/*/step-*")
    damage(checkpoint / name)
    status, said = forked.run(tune_model, command)
    assert (status, f"error: {checkpoint / name}: " in said, "Traceback" in said) == (
        1,
        True,
        False,
    )
    shutil.rmtree(checkpoint)
    succeeds((tune_model, command))
