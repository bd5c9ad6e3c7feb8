"""Read a dataset's source into one pool of rows: filtered, without duplicates, in a seeded order.

Reads   paths         what the source needs: a wheel, a fetched hub folder or the user's own files
Writes  pool.jsonl    rows {"id": n, …fields of the task}
        counts.json   {read, kept, dropped: {reason: n}}

--spec  {"source": {"kind": …}, "task": {"kind": …}, "filter": {…}, "seed": n}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neft import files, plugins
from neft.cli import parser, run
from neft.data import make_pool
from neft.errors import NeftError


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--paths", nargs="+", required=True, type=Path, help="what the source is read from")
    arguments.add_argument("--pool", required=True)
    arguments.add_argument("--counts", required=True)
    args = arguments.parse_args(argv)

    source = args.spec["source"]
    task = plugins.load("tasks", args.spec["task"]["kind"])
    records = plugins.load("sources", source["kind"]).read(source, args.paths, task.FIELDS)
    rows, counts = make_pool(records, task, args.spec["filter"], args.spec["seed"])
    if not rows:
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in counts["dropped"].items() if count) or "it is empty"
        raise NeftError(f"{args.paths[0]}: of {counts['read']:,} rows none is left: {dropped}; loosen `filter`")
    files.write_rows(args.pool, rows)
    files.write_json(args.counts, counts)


if __name__ == "__main__":
    run(main)
