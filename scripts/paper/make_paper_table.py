"""Make one table of the publication.

Reads   results/<name>/{score,tune,compare,pairs,tables}/…   what the kind of the table is made from (`neft/paper/tables/`)
        published.csv   published values to put beside ours
Writes  table.csv   every number in full, a row for each cell and seed
        table.md    the same for people
        table.tex   the same with booktabs
        table.html  the same for the report
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from neft import plugins
from neft.paper.published import Planned
from neft.reporting import table_files
from neft.schema import Strict
from neft.script import parser, run


class Spec(Strict):
    """The table's settings, and what the plan tells it."""

    table: Annotated[Any, plugins.block("tables")]
    planned: Planned


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--results", type=Path, required=True, help="the folder results/<name>")
    arguments.add_argument("--published", type=Path, help="published values")
    table_files.arguments(arguments)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    records, sheets = plugins.load("tables", spec.table.kind).build(
        spec.table, spec.planned, args.results, args.published
    )
    lead = "Our values, with their intervals, beside the published ones where these are given."
    table_files.write(args, records, sheets, spec.table.title, lead)


if __name__ == "__main__":
    run(main)
