"""How many neurons do two masks share, and how many would they by chance?

Reads   FIRST, SECOND (safetensors)   masks, a file of each for every pair
Writes  overlap.csv     a row per pair and seed, in full
        overlap.md      a row per pair for people: means over seeds
        overlap.tex     the same with booktabs
        overlap.html    the same for the report
"""

from __future__ import annotations

from collections.abc import Sequence

from neft.core.mask import NeuronMask
from neft.reporting import overlap, table_files
from neft.schema import Strict
from neft.script import parser, run


class Spec(Strict):
    """What the table is called, and which masks the files are."""

    title: str
    pairs: tuple[dict[str, str | int | None], ...]
    """{a, b, seed} of each pair, in the order of the files."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--first", nargs="+", required=True)
    arguments.add_argument("--second", nargs="+", required=True)
    table_files.arguments(arguments)
    args = arguments.parse_args(argv)
    spec: Spec = args.spec

    rows = [
        names | overlap.measure(NeuronMask.load(first), NeuronMask.load(second))
        for names, first, second in zip(spec.pairs, args.first, args.second, strict=True)
    ]
    lead = (
        "A row for each two sets of neurons: how much they share, beside what two random sets of"
        " their sizes would."
    )
    table_files.write(args, rows, [overlap.sheet(spec.title, rows)], "Overlap of masks", lead)


if __name__ == "__main__":
    run(main)
