"""Cut one split out of a pool of rows: test from its start, train from its end (but for rows to
skip), dev just before train.

Reads   pool.jsonl            rows {"id": n, …fields}
Writes  <train|dev|test>.jsonl   the split's rows, as they are

--spec  {"split": "test", "sizes": {"test": n, "reserved": rows of train, dev and skip}}
        {"split": "dev", "sizes": {"dev": n, "train": n, "skip": n}}
        {"split": "train", "sizes": {"train": n, "skip": n}}
        (no rows to skip: no "skip")
"""

from __future__ import annotations

from collections.abc import Sequence

from neft.data.pool import cut
from neft.script import parser, run
from neft.storage import files


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--pool", required=True)
    arguments.add_argument("--rows", required=True)
    args = arguments.parse_args(argv)

    rows = cut(files.read_rows(args.pool), args.spec["split"], args.spec["sizes"], args.pool)
    files.write_rows(args.rows, rows)


if __name__ == "__main__":
    run(main)
