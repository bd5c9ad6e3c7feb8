"""Make the table of results.

Reads   results/<name>/{tune,score,compare}/…   metrics.json, scores and comparisons of every run in the spec
Writes  main.csv    every number in full, a row per model, dataset, test set and method
        main.md     the same for people: rounded, best marked, with notes
        main.tex    the same with booktabs
        main.html   the same for the report
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neft.reporting import table_files
from neft.reporting.main_table import records, sheet
from neft.reporting.summary import rows
from neft.results import runs
from neft.results.layout import Layout
from neft.results.runs import Runs
from neft.schema import Strict
from neft.script import parser, run


class Spec(Strict):
    """What the table shows: methods in the order of the runs."""

    title: str
    baseline: str
    runs: Runs


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--results", required=True, help="the folder results/<name>")
    table_files.arguments(arguments)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    baseline = spec.baseline
    tables = [(group, rows(args.results, group, baseline)) for group in runs.group(spec.runs)]
    layout = Layout(Path(args.results))
    sheets = []
    for group, table in tables:
        near = (
            runs.read(layout.near(group.dataset, group.test), "rows", "near")
            if group.dataset != runs.UNTUNED
            else None
        )
        sheets.append(sheet(group, table, baseline, near))
    lead = (
        "One row a method: what it trains, how it scores with a 95 % interval, and what it costs."
    )
    table_files.write(args, records(tables), sheets, spec.title, lead)


if __name__ == "__main__":
    run(main)
