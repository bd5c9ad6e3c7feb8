"""A tuning run on the tiny model: its files, its spec and its command line."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TASK = {
    "kind": "translation",
    "source_language": "en",
    "target_language": "fr",
    "prompt": "Translate: {source}",
}
TRAINING = {"epochs": 2, "batch_size": 8, "evaluations": 4, "precision": "float32"}
SETTINGS: dict[str, dict[str, Any]] = {
    "full": {"kind": "full", "learning_rate": 5e-3},
    "embed": {"kind": "embed", "learning_rate": 1e-2},
    "in_out": {"kind": "in_out", "learning_rate": 1e-2},
    "lora": {"kind": "lora", "learning_rate": 1e-2, "rank": 4},
    "neft": {"kind": "neft", "learning_rate": 1e-2, "mask": "some"},
}


def task() -> Any:
    """`TASK` as the `Spec` of its plug-in."""
    from neft import plugins

    return plugins.settings("tasks", TASK)


def method(kind: str, **options: Any) -> Any:
    """The `Spec` of a method of `SETTINGS`, with other options on top."""
    from neft import plugins

    return plugins.settings("methods", SETTINGS[kind] | options)


@dataclass(frozen=True)
class Inputs:
    """What a tuning run reads."""

    model: Path
    record: Path
    train: Path
    dev: Path
    test: Path
    mask: Path


def make_inputs(folder: Path, model: Path, rows: Path) -> Inputs:
    """Split the tiny rows 40/10/10, describe the tiny model, and pick ten neurons of each of its up
    and down projections.
    """
    from neft.core import neurons
    from neft.models import identity

    lines = rows.read_text(encoding="utf-8").splitlines(keepends=True)
    random.Random(0).shuffle(lines)
    files = Inputs(
        model,
        *(
            folder / name
            for name in ("model.json", "train.jsonl", "dev.jsonl", "test.jsonl", "mask.safetensors")
        ),
    )
    for file, part in (
        (files.train, lines[:40]),
        (files.dev, lines[40:50]),
        (files.test, lines[50:]),
    ):
        file.write_text("".join(part), encoding="utf-8")
    files.record.write_text(
        json.dumps(neurons.describe(model) | {"base_hash": identity.base_hash(model)})
    )
    make_mask(model).save(files.mask)
    return files


def make_mask(model: Path) -> Any:
    """Ten neurons of each up and down projection."""
    from neft.core.mask import NeuronMask
    from neft.core.neurons import find
    from neft.models.runtime import load_model

    network, _ = load_model(model, "float32")
    sites = find(network, ("up_proj", "down_proj"))
    draw = random.Random(1)
    return NeuronMask.from_indices(
        {key: sorted(draw.sample(range(site.count), 10)) for key, site in sites.items()}, network
    )


def tune_arguments(
    inputs: Inputs, out: Path, method: str, seed: int = 1, **training: Any
) -> list[str]:
    """The command line of tune_model.py for a method of `SETTINGS`; outputs go to `out`."""
    spec = {
        "task": TASK,
        "method": SETTINGS[method],
        "training": TRAINING | training,
    }
    mask = ["--mask", str(inputs.mask)] if method == "neft" else []
    return [
        *(
            "--spec",
            json.dumps(spec | {"seed": seed, "name": method}),
            "--model",
            str(inputs.model),
        ),
        *(
            "--model-record",
            str(inputs.record),
            "--train",
            str(inputs.train),
            "--dev",
            str(inputs.dev),
            *mask,
        ),
        *("--checkpoints", str(out / "checkpoints"), "--delta", str(out / "delta.safetensors")),
        *(
            "--record",
            str(out / "delta.json"),
            "--metrics",
            str(out / "metrics.json"),
            "--history",
            str(out / "history.jsonl"),
        ),
    ]


def probe_arguments(
    inputs: Inputs, out: Path, steps: int = 3, stop: int | None = None, **training: Any
) -> list[str]:
    """The command line of train_probe.py: as for tuning, with a probe in place of a method and a
    folder in place of a delta.
    """
    given = tune_arguments(inputs, out, "full", **training)
    spec = json.loads(given[1])
    del spec["method"], spec["name"]
    given[1] = json.dumps(
        spec | {"probe": {"learning_rate": 1e-3, "steps": steps}} | ({"stop": stop} if stop else {})
    )
    for flag in ("--delta", "--record"):
        del given[given.index(flag) : given.index(flag) + 2]
    return [*given, "--folder", str(out / "model")]


def generate_arguments(
    inputs: Inputs, out: Path, delta: Path | None = None, batch_size: int = 4, limit: int = 32
) -> list[str]:
    """The command line of generate_outputs.py; outputs go to `out`."""
    spec = {
        "task": TASK,
        "max_new_tokens": limit,
        "precision": "float32",
    }
    return [
        *("--spec", json.dumps(spec), "--model", str(inputs.model), "--test", str(inputs.test)),
        *(["--delta", str(delta)] if delta else []),
        *("--batch-size", str(batch_size), "--parts", str(out / "parts")),
        *("--outputs", str(out / "outputs.jsonl"), "--stats", str(out / "stats.json")),
    ]


def losses_arguments(inputs: Inputs, out: Path, batch_size: int = 4) -> list[str]:
    """The command line of measure_losses.py, of the untuned model; outputs go to `out`."""
    spec = {"task": TASK, "precision": "float32"}
    return [
        *("--spec", json.dumps(spec), "--model", str(inputs.model), "--test", str(inputs.test)),
        *("--batch-size", str(batch_size), "--parts", str(out / "parts")),
        *("--losses", str(out / "losses.jsonl")),
    ]
