"""How many rows of a test set have a near duplicate among those that are trained on?

Reads   train.jsonl, test.jsonl   rows of two tasks, mostly of one data set
Writes  NEAR (JSON)               {rows, near: {similarity: rows with one at least so similar}}

What is compared are the sources, by the words that they share (`neft.data.near`).
"""

from __future__ import annotations

from collections.abc import Sequence

from neft import plugins
from neft.data import near
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files


class Spec(Strict):
    """The kinds of tasks."""

    train: str
    test: str


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--train", required=True)
    arguments.add_argument("--test", required=True)
    arguments.add_argument("--near", required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    train, test = (
        [plugins.load("tasks", task).source(row) for row in files.read_rows(path)]
        for task, path in ((spec.train, args.train), (spec.test, args.test))
    )
    found = {str(share): near.with_one_in(test, train, share) for share in near.SHARES}
    files.write_json(args.near, {"rows": len(test), "near": found})


if __name__ == "__main__":
    run(main)
