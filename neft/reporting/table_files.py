"""The four files of every table: CSV in full, and rounded for people as Markdown, LaTeX and
HTML.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from neft.reporting.pages import page
from neft.reporting.typeset import Sheet, latex, markdown, table_html
from neft.storage import files


def arguments(parser: ArgumentParser) -> None:
    """Let a script be told where its table goes: `--csv`, `--markdown`, `--latex`, `--html`."""
    for kind in ("csv", "markdown", "latex", "html"):
        parser.add_argument(f"--{kind}", required=True)


def write(
    args: Namespace,
    records: Sequence[Mapping[str, Any]],
    sheets: Sequence[Sheet],
    title: str,
    lead: str,
) -> None:
    """Write a table where `arguments` were told: records of the same keys in full, sheets for
    people.

    The page for the report has a title and a sentence that says what it shows.
    """
    files.write_csv(args.csv, records)
    files.write_text(args.markdown, markdown(sheets))
    files.write_text(args.latex, latex(sheets))
    files.write_text(args.html, page(title, lead, "\n".join(table_html(sheet) for sheet in sheets)))
