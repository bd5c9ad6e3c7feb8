"""How many neurons do two masks share, and how many would they by chance?

Reads   FIRST, SECOND (safetensors)   masks, a file of each for every pair
Writes  overlap.csv     a row per pair and seed, in full
        overlap.md      a row per pair for people: means over seeds
        overlap.tex     the same with booktabs
        overlap.html    the same for the report

--spec  {"title": "…", "pairs": [{"a", "b", "seed"}, …]}; pairs in the order of the files
"""

from __future__ import annotations

from collections.abc import Sequence

from neft import files, overlap
from neft.cli import parser, run
from neft.mask import NeuronMask
from neft.pages import page
from neft.typeset import latex, markdown, table_html


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--first", nargs="+", required=True)
    arguments.add_argument("--second", nargs="+", required=True)
    for kind in ("csv", "markdown", "latex", "html"):
        arguments.add_argument(f"--{kind}", required=True)
    args = arguments.parse_args(argv)

    rows = [
        names | overlap.measure(NeuronMask.load(first), NeuronMask.load(second))
        for names, first, second in zip(args.spec["pairs"], args.first, args.second, strict=True)
    ]
    sheet = overlap.sheet(args.spec["title"], rows)
    files.write_csv(args.csv, rows)
    files.write_text(args.markdown, markdown([sheet]))
    files.write_text(args.latex, latex([sheet]))
    lead = "A row for each two sets of neurons: how much they share, beside what two random sets of their sizes would."
    files.write_text(args.html, page("Overlap of masks", lead, table_html(sheet)))


if __name__ == "__main__":
    run(main)
