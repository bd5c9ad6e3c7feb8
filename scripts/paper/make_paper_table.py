"""Make one table of the publication.

Reads   results/<name>/{score,tune,compare,pairs,tables}/…   what the kind of the table is made from (`neft/paper/tables/`)
        published.csv   published values to put beside ours
Writes  table.csv   every number in full, a row for each cell and seed
        table.md    the same for people
        table.tex   the same with booktabs
        table.html  the same for the report

--spec  {"kind": "scores", "title": "…", and what the kind asks for (its `build`)}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neft import plugins
from neft.reporting import table_files
from neft.script import parser, run


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--results", type=Path, required=True, help="the folder results/<name>")
    arguments.add_argument("--published", type=Path, help="published values")
    table_files.arguments(arguments)
    args = arguments.parse_args(argv)

    records, sheets = plugins.load("tables", args.spec["kind"]).build(
        args.spec, args.results, args.published
    )
    lead = "Our values, with their intervals, beside the published ones where these are given."
    table_files.write(args, records, sheets, args.spec["title"], lead)


if __name__ == "__main__":
    run(main)
