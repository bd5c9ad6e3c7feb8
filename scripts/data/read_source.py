"""Read a dataset's source into one pool of rows: filtered, without duplicates, in a seeded order.

Reads   paths         what the source needs: wheels, fetched hub folders or the user's own files
Writes  pool.jsonl    rows {"id": n, …fields of the task}; where near duplicates are kept together also "group"
        counts.json   {read, kept, dropped: {reason: n}}, and for a derived source what it is made of: {made_of: {part: {…}}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from neft import plugins
from neft.data import near, records
from neft.data.pool import Filter, make_pool
from neft.errors import NeftError
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files


class Spec(Strict):
    """How the pool is made."""

    source: Annotated[Any, plugins.block("sources")]
    shares: tuple[int, ...]
    """How many of the paths each part of the source has, in order; of one without parts, all."""
    task: str
    """The kind of task, which says what fields a row has."""
    filter: Filter
    seed: int | None
    """Decides the order of rows; null leaves the source's."""
    near_duplicates: float | None = None
    """From which similarity on rows follow each other, as one group."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument(
        "--paths",
        nargs="*",
        required=True,
        type=Path,
        help="what the source is read from; may be nothing",
    )
    arguments.add_argument("--pool", required=True)
    arguments.add_argument("--counts", required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    task = plugins.load("tasks", spec.task)
    found, made_of = records.read(spec.source, args.paths, spec.shares, task)
    share = spec.near_duplicates

    def group(rows: Sequence[Mapping[str, str]]) -> list[int]:
        assert share is not None
        return near.groups([task.source(row) for row in rows], share)

    rows, counts = make_pool(found, task, spec.filter, spec.seed, group if share else None)
    if not rows:
        dropped = (
            ", ".join(f"{count:,} {reason}" for reason, count in counts["dropped"].items() if count)
            or "it is empty"
        )
        where = args.paths[0] if args.paths else f"source {spec.source.kind}"
        raise NeftError(
            f"{where}: of {counts['read']:,} rows none is left: {dropped}; loosen `filter`"
        )
    files.write_rows(args.pool, rows)
    files.write_json(args.counts, counts | ({"made_of": made_of} if made_of else {}))


if __name__ == "__main__":
    run(main)
