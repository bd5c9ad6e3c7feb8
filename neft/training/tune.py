"""One tuning run from files to files: what `tune_model` and `train_probe` have in common."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neft import plugins
from neft.core.mask import NeuronMask
from neft.data import encode
from neft.models import runtime
from neft.storage import files
from neft.training import controls, trainer
from neft.training.checkpoints import Progress
from neft.training.settings import Control, Method, Training
from neft.training.trainer import Run, Schedule


@dataclass(frozen=True)
class TuneInputs:
    """The files of a run."""

    model: Path
    """The base model, a Hugging Face directory."""
    base_hash: str
    """Its hash, from its record."""
    train: Path
    dev: Path
    checkpoints: Path
    """Folder of checkpoints, each run's in one of its own."""
    mask: Path | None = None
    """The neurons to train, for a method that needs them."""
    trust_remote_code: bool = False
    """Whether the model may bring code of its own."""


@dataclass(frozen=True)
class TuneSettings:
    """What decides a run's result besides its files."""

    method: Method
    """The `Spec` of a plug-in of `neft/training/methods/`, with one learning rate."""
    training: Training
    task: Any
    """The `Spec` of a plug-in of `neft/data/tasks/`."""
    seed: int
    schedule: Schedule = field(default_factory=Schedule)
    control: Control | None = None
    """What is trained on in place of the task's rows."""


@dataclass(frozen=True)
class RunIdentity:
    """What was trained on what: the part of a run's metrics that says which run it is."""

    base_hash: str
    mask_sha256: str | None
    data_sha256: dict[str, str]
    """Of the rows, by split: train, dev."""
    seed: int
    precision: str

    @classmethod
    def of(cls, inputs: TuneInputs, seed: int, precision: str) -> RunIdentity:
        """Hash a run's files."""
        return cls(
            base_hash=inputs.base_hash,
            mask_sha256=files.sha256(inputs.mask) if inputs.mask else None,
            data_sha256={"train": files.sha256(inputs.train), "dev": files.sha256(inputs.dev)},
            seed=seed,
            precision=precision,
        )

    def fingerprint(self, settings: TuneSettings) -> dict[str, Any]:
        """All that decides the result, as plain values: a checkpoint with another fingerprint is
        of another run.
        """
        return {
            **asdict(self),
            "task": settings.task.model_dump(mode="json"),
            # A mask is what its file holds, whatever it is called.
            "method": settings.method.model_dump(mode="json", exclude={"mask", "mask_from"}),
            "training": settings.training.model_dump(mode="json"),
            "steps": settings.schedule.steps,
            "stop": settings.schedule.stop,
            "control": settings.control,
        }


@dataclass
class TunedRun:
    """A finished run: the trained model in memory, and what there is to say about it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    metrics: dict[str, Any]
    history: list[dict[str, Any]]

    def write(self, metrics: Path, history: Path, checkpoints: Path) -> None:
        """Write metrics and history, and remove the checkpoints: call it when the result itself is
        safe.
        """
        files.write_rows(history, self.history)
        files.write_json(metrics, self.metrics)
        shutil.rmtree(checkpoints, ignore_errors=True)


def tune(inputs: TuneInputs, settings: TuneSettings, threads: int = 1) -> TunedRun | None:
    """Train a base model by one method with one learning rate. None on all ranks but the first,
    which writes.

    threads: of the CPU. Raises NeftError as `trainer.fit` does, for a mask of another base model,
    and where the method can't train this model.
    """
    device = runtime.start(threads)
    method, training = settings.method, settings.training
    precision = runtime.training_precision(training.precision, device)
    identity = RunIdentity.of(inputs, settings.seed, precision)
    model, tokenizer = runtime.load_model(inputs.model, "float32", inputs.trust_remote_code)
    train, dev, counts = _examples(inputs, settings, model, tokenizer)
    total = sum(p.numel() for p in model.parameters())
    torch.manual_seed(settings.seed)  # for what a method draws at its start
    model = plugins.load("methods", method.kind).prepare(model, method, _mask(inputs))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    progress = trainer.fit(model, train, dev, _run(inputs, settings, identity))
    if runtime.rank():
        return None
    metrics = {
        "method": method.kind,
        "kind": method.kind,
        "learning_rate": method.learning_rate,
        **asdict(identity),
        "trainable_parameters": trainable,
        "total_parameters": total,
        "percent": 100 * trainable / total,
        "rows": {"train": len(train), "dev": len(dev)},
        "dropped_too_long": {split: count["too_long"] for split, count in counts.items()},
        "cut": {split: count["cut"] for split, count in counts.items()},
        **_course(progress),
        "peak_memory_bytes": runtime.peak_memory_bytes(device),
        "device": runtime.device_name(device),
        "threads": threads,
        "ranks": runtime.process_count(),
        "versions": runtime.versions(),
    }
    return TunedRun(model, tokenizer, metrics, progress.history)


def _run(inputs: TuneInputs, settings: TuneSettings, identity: RunIdentity) -> Run:
    fingerprint = identity.fingerprint(settings)
    text = json.dumps(fingerprint, sort_keys=True)
    return Run(
        settings=settings.training,
        learning_rate=settings.method.rate,
        seed=settings.seed,
        precision=identity.precision,
        folder=inputs.checkpoints / hashlib.sha256(text.encode()).hexdigest()[:12],
        fingerprint=fingerprint,
        schedule=settings.schedule,
    )


def _mask(inputs: TuneInputs) -> NeuronMask | None:
    if inputs.mask is None:
        return None
    mask = NeuronMask.load(inputs.mask)
    mask.check_base(inputs.base_hash, inputs.mask)
    return mask


def _examples(
    inputs: TuneInputs,
    settings: TuneSettings,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[list[encode.Example], list[encode.Example], dict[str, dict[str, int]]]:
    """The train and dev rows as tokens, and how many of each were too long or cut."""
    spec, longest = settings.task, settings.training.max_length
    task = plugins.load("tasks", spec.kind)
    stops = encode.stop_tokens(model, tokenizer)
    train, of_train = encode.examples(
        tokenizer, files.read_rows(inputs.train), task, spec, stops, longest
    )
    dev, of_dev = encode.examples(
        tokenizer, files.read_rows(inputs.dev), task, spec, stops, longest
    )
    if settings.control:
        special = set(tokenizer.all_special_ids)
        words = [token for token in range(len(tokenizer)) if token not in special]
        train = controls.replaced(settings.control, train, words, settings.seed)
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
