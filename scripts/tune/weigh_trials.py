"""Is the best of a method's trials at the edge of its grid? Then name the trial beyond.

Reads   METRICS (json)   of every trial so far: {dev_loss, …}
Writes  ROUND.json       {losses: {trial: dev loss, or null for one that diverged}, add: the next trial, or null}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files
from neft.training import search


class Spec(Strict):
    """What was tried so far."""

    trials: tuple[str, ...]
    """Names of the trials, in the order of their files."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--metrics", type=Path, nargs="+", required=True)
    arguments.add_argument("--round", type=Path, required=True, help="file to write")
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    losses = {
        name: files.read_json(path)["dev_loss"]
        for name, path in zip(spec.trials, args.metrics, strict=True)
    }
    further = search.beyond(losses)
    files.write_json(args.round, {"losses": losses, "add": further.name if further else None})


if __name__ == "__main__":
    run(main)
