"""Fine-tune all of a base model for a short time, to see which neurons the task moves.

Reads   MODEL/          the base model; model.json, its record {base_hash, …}
        train.jsonl     rows to train on
        dev.jsonl       rows whose loss is measured
Writes  FOLDER/         the tuned model, a Hugging Face directory in float32
        metrics.json    what the run cost and reached
        history.jsonl   losses by step
        CHECKPOINTS/    while it runs; started again after a kill it goes on from there

The result is the state after the last step: the training that counts is `steps` long, not up to
where the dev loss was lowest. With a `stop` it is the state that the very same run has after so many
of its steps.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from neft import plugins
from neft.schema import Strict
from neft.script import parser, run
from neft.training import arguments as shared
from neft.training.methods import full
from neft.training.settings import Control, Probe, Training
from neft.training.trainer import Schedule
from neft.training.tune import TuneSettings, tune


class Spec(Strict):
    """What decides the probe besides its files."""

    task: Annotated[Any, plugins.block("tasks")]
    probe: Probe
    training: Training
    seed: int
    stop: int | None = None
    """After so many of its steps, if not after the last."""
    control: Control | None = None
    """What it trains on in place of the task's rows."""
    trust_remote_code: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--folder", type=Path, required=True, help="write the tuned model")
    shared.add_arguments(arguments)
    args = arguments.parse_args(argv)
    spec: Spec = args.spec
    settings = TuneSettings(
        method=full.Spec(kind="full", learning_rate=spec.probe.learning_rate),
        training=spec.training,
        task=spec.task,
        seed=spec.seed,
        schedule=Schedule(steps=spec.probe.steps, stop=spec.stop, keep_best=False),
        control=spec.control,
    )
    tuned = tune(shared.inputs(args, spec.trust_remote_code), settings, args.threads)
    if tuned is None:
        return

    unfinished = args.folder.with_name(f".{args.folder.name}")
    for leftover in (unfinished, args.folder):
        shutil.rmtree(leftover, ignore_errors=True)
    tuned.model.save_pretrained(unfinished)
    tuned.tokenizer.save_pretrained(unfinished)
    unfinished.rename(args.folder)
    tuned.metrics |= {"method": "probe", "delta_bytes": 0}
    tuned.write(args.metrics, args.history, args.checkpoints)


if __name__ == "__main__":
    run(main)
