"""One tuning run from files to files: what `tune_model` and `train_probe` have in common."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neft import plugins
from neft.core.mask import NeuronMask
from neft.data import encode
from neft.models import runtime
from neft.storage import files
from neft.training import trainer
from neft.training.checkpoints import Progress
from neft.training.settings import Training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The files that every tuning run reads and writes."""
    parser.add_argument(
        "--model", type=Path, required=True, help="base model, a Hugging Face directory"
    )
    parser.add_argument(
        "--model-record", type=Path, required=True, help="its record, with the base hash"
    )
    parser.add_argument("--train", type=Path, required=True, help="rows to train on")
    parser.add_argument("--dev", type=Path, required=True, help="rows whose loss is measured")
    parser.add_argument(
        "--checkpoints",
        type=Path,
        required=True,
        help="folder to resume from after a kill; removed at success",
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--metrics", type=Path, required=True, help="write what the run cost and reached"
    )
    parser.add_argument("--history", type=Path, required=True, help="write the losses by step")


@dataclass
class Tuned:
    """A finished run: the trained model in memory, and what there is to say about it."""

    model: torch.nn.Module
    tokenizer: PreTrainedTokenizerBase
    base_hash: str
    metrics: dict[str, Any]
    history: list[dict[str, Any]]

    def write(self, args: argparse.Namespace, delta_bytes: int) -> None:
        """Write metrics and history, and remove the checkpoints: call it when the result itself is
        safe.
        """
        files.write_rows(args.history, self.history)
        files.write_json(args.metrics, self.metrics | {"delta_bytes": delta_bytes})
        shutil.rmtree(args.checkpoints, ignore_errors=True)


def tune(
    args: argparse.Namespace,
    method: dict[str, Any],
    training: Training,
    *,
    mask_file: Path | None = None,
    steps: int | None = None,
    stop: int | None = None,
    keep_best: bool = True,
) -> Tuned | None:
    """Train the base model of `args` by one method with one learning rate. None on all ranks but
    the first, which writes.

    args: from `add_arguments`, with `spec` holding model, task, seed and, optionally, name. method:
    a method's spec with a single learning rate. steps, stop, keep_best: as in `trainer.fit`.
    """
    device = runtime.start(args.threads)
    spec, plugin = args.spec, plugins.load("methods", method["kind"])
    precision = runtime.training_precision(training.precision, device)
    base_hash = files.read_json(args.model_record)["base_hash"]
    identity = {
        "base_hash": base_hash,
        "mask_sha256": files.sha256(mask_file) if mask_file else None,
        "data_sha256": {"train": files.sha256(args.train), "dev": files.sha256(args.dev)},
        "seed": spec["seed"],
        "precision": precision,
    }
    fingerprint = {
        **identity,
        "task": spec["task"],
        "method": method,
        "training": training.model_dump(mode="json"),
        "steps": steps,
        "stop": stop,
    }
    checkpoints = (
        args.checkpoints
        / hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:12]
    )

    model, tokenizer = runtime.load_model(args.model, "float32", **spec["model"])
    train, dev, counts = _examples(args, model, tokenizer, training.max_length)
    total = sum(p.numel() for p in model.parameters())
    torch.manual_seed(spec["seed"])  # for what a method draws at its start
    model = plugin.prepare(model, method, _mask(mask_file, base_hash) if mask_file else None)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    progress = trainer.fit(
        model,
        train,
        dev,
        training,
        learning_rate=method["learning_rate"],
        seed=spec["seed"],
        precision=precision,
        folder=checkpoints,
        fingerprint=fingerprint,
        steps=steps,
        stop=stop,
        keep_best=keep_best,
    )
    if runtime.rank():
        return None
    metrics = {
        "method": spec.get("name", method["kind"]),
        "kind": method["kind"],
        "learning_rate": method["learning_rate"],
        **identity,
        "trainable_parameters": trainable,
        "total_parameters": total,
        "percent": 100 * trainable / total,
        "rows": {"train": len(train), "dev": len(dev)},
        "dropped_too_long": {split: count["too_long"] for split, count in counts.items()},
        "cut": {split: count["cut"] for split, count in counts.items()},
        **_course(progress),
        "peak_memory_bytes": runtime.peak_memory_bytes(device),
        "device": runtime.device_name(device),
        "threads": args.threads,
        "ranks": runtime.ranks(),
        "versions": runtime.versions(),
    }
    return Tuned(model, tokenizer, base_hash, metrics, progress.history)


def _mask(file: Path, base_hash: str) -> NeuronMask:
    mask = NeuronMask.load(file)
    mask.check_base(base_hash, file)
    return mask


def _examples(
    args: argparse.Namespace,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> tuple[list[encode.Example], list[encode.Example], dict[str, dict[str, int]]]:
    """The train and dev rows as tokens, and how many of each were too long or cut."""
    task, spec = plugins.load("tasks", args.spec["task"]["kind"]), args.spec["task"]
    stops = encode.stop_tokens(model, tokenizer)
    train, of_train = encode.examples(
        tokenizer, files.read_rows(args.train), task, spec, stops, max_length
    )
    dev, of_dev = encode.examples(
        tokenizer, files.read_rows(args.dev), task, spec, stops, max_length
    )
    return train, dev, {"train": of_train, "dev": of_dev}


def _course(progress: Progress) -> dict[str, Any]:
    """How a run went, for its metrics."""
    last = progress.history[-1]
    return {
        "dev_loss": progress.dev_loss,
        "best_step": progress.dev_step,
        "steps": last["step"],
        "epochs": last["epoch"],
        "train_seconds": round(progress.seconds, 3),
        "train_tokens": progress.tokens,
        "tokens_per_second": round(progress.tokens / progress.seconds, 1),
    }
