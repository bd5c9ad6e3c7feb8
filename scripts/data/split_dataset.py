"""Cut one split out of a pool of rows: test from its start, train from its end (but for rows to
skip), dev just before train.

Reads   pool.jsonl            rows {"id": n, …fields}
Writes  <train|dev|test>.jsonl   the split's rows, as they are

Each split is given only the sizes that its place depends on: test {test, reserved: rows of train,
dev and skip}, dev {dev, train, skip}, train {train, skip}; without rows to skip there is no "skip".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from neft.data.pool import cut
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files


class Spec(Strict):
    """Which split, and the sizes that say where it lies."""

    split: Literal["train", "dev", "test"]
    sizes: dict[str, int]


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--pool", required=True)
    arguments.add_argument("--rows", required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    rows = cut(files.read_rows(args.pool), spec.split, spec.sizes, args.pool)
    files.write_rows(args.rows, rows)


if __name__ == "__main__":
    run(main)
