"""A table for people, set as Markdown, LaTeX or HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """Plain text, which each format escapes for itself, and a detail that follows it (in HTML on a
    second line).
    """

    text: str
    bold: bool = False
    detail: str = ""

    @property
    def whole(self) -> str:
        """Text and detail on one line."""
        return f"{self.text} {self.detail}" if self.detail else self.text


@dataclass(frozen=True)
class Sheet:
    """A titled table with notes (a term and what it means) below. The first two columns are words,
    the others numbers.
    """

    title: str
    header: list[str]
    rows: list[list[Cell]]
    notes: list[tuple[str, str]]


WORDS = 2


def markdown(sheets: Sequence[Sheet]) -> str:
    """Set sheets as GitHub-flavoured Markdown, a heading each."""
    return "\n".join(_markdown(sheet) for sheet in sheets)


def _markdown(sheet: Sheet) -> str:
    return f"## {_md(sheet.title)}\n\n{markdown_table(sheet)}"


def markdown_table(sheet: Sheet) -> str:
    """One sheet's table and notes in Markdown, without its title."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    def cell(c: Cell) -> str:
        return f"**{_md(c.whole)}**" if c.bold else _md(c.whole)

    rule = [":--"] * WORDS + ["--:"] * (len(sheet.header) - WORDS)
    lines = [line([_md(title) for title in sheet.header]), line(rule)]
    lines += [line([cell(c) for c in row]) for row in sheet.rows]
    lines += ["", *(f"- {_md(term)}: {_md(text)}" for term, text in sheet.notes), ""]
    return "\n".join(lines)


def _md(text: str) -> str:
    return re.sub(r"([\\`*_|<\[\]])", r"\\\1", text)


def latex(sheets: Sequence[Sheet]) -> str:
    r"""Set sheets as LaTeX tables to `\input`; needs the packages booktabs and graphicx."""
    return "% Needs \\usepackage{booktabs} and \\usepackage{graphicx}.\n" + "\n".join(
        _latex(sheet) for sheet in sheets
    )


def _latex(sheet: Sheet) -> str:
    def line(cells: Sequence[str]) -> str:
        return "    " + " & ".join(cells) + r" \\"

    def cell(c: Cell) -> str:
        return rf"\textbf{{{_tex(c.whole)}}}" if c.bold else _tex(c.whole)

    columns = "l" * WORDS + "r" * (len(sheet.header) - WORDS)
    return "\n".join(
        [
            r"\begin{table*}",
            r"  \centering",
            rf"  \caption{{{_tex(sheet.title)}.}}",
            r"  \resizebox{\textwidth}{!}{%",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            line([_tex(title) for title in sheet.header]),
            r"    \midrule",
            *(line([cell(c) for c in row]) for row in sheet.rows),
            r"    \bottomrule",
            r"  \end{tabular}}",
            r"  \par\medskip\raggedright\footnotesize",
            *(
                rf"  \textit{{{_tex(term)}}}: {_breakable(_tex(text))}\par"
                for term, text in sheet.notes
            ),
            r"\end{table*}",
            "",
        ]
    )


_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "–": "--",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "\u00a0": "~",
} | {character: "\\" + character for character in "&%$#_{}"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)


def _breakable(text: str) -> str:
    """A signature is one long word; let it break after its bars."""
    return text.replace(r"\textbar{}", r"\textbar{}\allowbreak{}")


def table_html(sheet: Sheet) -> str:
    """Set one sheet as an HTML section: heading, table and notes."""

    def cell(c: Cell) -> str:
        text = f"<b>{html.escape(c.text)}</b>" if c.bold else html.escape(c.text)
        return (
            f'<td>{text}<br><span class="soft">{html.escape(c.detail)}</span></td>'
            if c.detail
            else f"<td>{text}</td>"
        )

    head = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in sheet.header)
    body = "\n".join(
        "<tr><th"
        f' scope="row">{html.escape(row[0].text)}</th>{"".join(cell(c) for c in row[1:])}</tr>'
        for row in sheet.rows
    )
    notes = "\n".join(
        f"<dt>{html.escape(term)}</dt><dd>{html.escape(text)}</dd>" for term, text in sheet.notes
    )
    return (
        f'<h2>{html.escape(sheet.title)}</h2>\n<div class="wide"'
        f' tabindex="0"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>\n<dl>\n{notes}\n</dl>"
    )
