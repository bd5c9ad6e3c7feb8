"""Tune a base model by one method with one learning rate.

Reads   MODEL/              the base model; model.json, its record {base_hash, …}
        train.jsonl         rows to train on
        dev.jsonl           rows whose loss picks the best state
        mask.safetensors    the neurons to train (method neft)
Writes  delta.safetensors   what the method changed; nothing if training diverged, which is a result too
        delta.json          {sha256, bytes, kind, base_hash}
        metrics.json        what the run cost and reached
        history.jsonl       losses by step
        CHECKPOINTS/        while it runs; started again after a kill it goes on from there
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from neft import plugins
from neft.core.delta import TensorDelta
from neft.models import runtime
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files
from neft.training import arguments as shared
from neft.training.settings import Training
from neft.training.trainer import Diverged
from neft.training.tune import TuneSettings, tune


class Spec(Strict):
    """What decides the run besides its files."""

    name: str
    """What the method is called."""
    method: dict[str, Any]
    """Its settings, with one learning rate and without the name of its mask."""
    task: Annotated[Any, plugins.block("tasks")]
    training: Training
    seed: int
    trust_remote_code: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--mask", type=Path, help="the neurons to train (method neft)")
    arguments.add_argument(
        "--delta", type=Path, required=True, help="write what the method changed"
    )
    arguments.add_argument(
        "--record", type=Path, required=True, help="write the delta's hash and size"
    )
    shared.add_arguments(arguments)
    args = arguments.parse_args(argv)
    # What a mask is called is no part of the spec, so that a new name retrains nothing.
    mask = {"mask": args.mask.stem} if args.mask else {}
    spec: Spec = args.spec
    settings = TuneSettings(
        method=plugins.settings("methods", spec.method | mask),
        training=spec.training,
        task=spec.task,
        seed=spec.seed,
    )
    inputs = shared.inputs(args, spec.trust_remote_code, args.mask)
    try:
        tuned = tune(inputs, settings, args.threads)
    except Diverged as diverged:
        if runtime.rank() == 0:
            give_up(args, spec, settings, inputs.base_hash, str(diverged))
        return
    if tuned is None:
        return

    # In the base model's own format: what is finer could not be merged into it.
    dtype = runtime.DTYPES[files.read_json(args.model_record)["dtype"]]
    plugin = plugins.load("methods", settings.method.kind)
    plugin.extract(tuned.model, inputs.base_hash).save(args.delta, dtype)
    size = write_record(args, settings.method.kind, inputs.base_hash)
    tuned.metrics |= {"method": spec.name, "delta_bytes": size}
    tuned.write(args.metrics, args.history, args.checkpoints)


def give_up(
    args: argparse.Namespace, spec: Spec, settings: TuneSettings, base_hash: str, why: str
) -> None:
    """Write the result of a trial that diverged: nothing is changed, and there is no dev loss."""
    TensorDelta({}, {"base_hash": base_hash}).save(args.delta)
    write_record(args, settings.method.kind, base_hash)
    metrics = {
        "method": spec.name,
        "kind": settings.method.kind,
        "learning_rate": settings.method.rate,
        "epochs": settings.training.epochs,
        "dev_loss": None,
        "best_step": None,
        "diverged": why,
    }
    files.write_rows(args.history, [])
    files.write_json(args.metrics, metrics)
    shutil.rmtree(args.checkpoints, ignore_errors=True)


def write_record(args: argparse.Namespace, kind: str, base_hash: str) -> int:
    """Write the delta's hash and size; returns its bytes."""
    size = args.delta.stat().st_size
    record = {
        "sha256": files.sha256(args.delta),
        "bytes": size,
        "kind": kind,
        "base_hash": base_hash,
    }
    files.write_json(args.record, record)
    return int(size)


if __name__ == "__main__":
    run(main)
