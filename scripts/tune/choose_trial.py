"""Of a method's trials (its learning rates and numbers of epochs) keep the one with the lowest dev
loss.

Reads   TRIAL/          of every trial: delta.safetensors, delta.json, metrics.json, history.jsonl
Writes  the same four of the best trial; the delta is a hard link where the file system has them
        trials.json     [{trial, learning_rate, epochs, dev_loss, best_step, chosen}]

Of equal trials the first is kept, and never one that diverged.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from neft.errors import NeftError
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files
from neft.training import search


class Spec(Strict):
    """What is chosen from."""

    trials: tuple[str, ...]
    """Names of the trials, in the order of their folders."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument(
        "--trials", type=Path, nargs="+", required=True, help="folders of the trials"
    )
    for name in ("delta", "record", "metrics", "history"):
        arguments.add_argument(
            f"--{name}", type=Path, required=True, help=f"write the {name} of the best trial"
        )
    arguments.add_argument(
        "--summary", type=Path, required=True, help="write what the trials reached"
    )
    args = arguments.parse_args(argv)
    spec: Spec = args.spec
    trials = dict(zip(spec.trials, args.trials, strict=True))
    metrics = {name: files.read_json(folder / "metrics.json") for name, folder in trials.items()}
    best = search.best({name: one["dev_loss"] for name, one in metrics.items()})
    if best is None:
        reasons = "; ".join(f"{name}: {one['diverged']}" for name, one in metrics.items())
        raise NeftError(f"no trial has a finite dev loss: {reasons}")

    folder = trials[best]
    link(folder / "delta.safetensors", args.delta)
    files.write_text(args.record, (folder / "delta.json").read_text(encoding="utf-8"))
    files.write_text(args.metrics, (folder / "metrics.json").read_text(encoding="utf-8"))
    files.write_text(args.history, (folder / "history.jsonl").read_text(encoding="utf-8"))
    keys = ("learning_rate", "epochs", "dev_loss", "best_step")
    summary = [
        {"trial": name, **{key: m[key] for key in keys}, "chosen": name == best}
        for name, m in metrics.items()
    ]
    files.write_json(args.summary, summary)


def link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy on a file system without hard links;
    atomically.
    """
    with files.atomic(target) as temporary:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


if __name__ == "__main__":
    run(main)
