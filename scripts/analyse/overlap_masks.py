"""How many neurons do two masks share, how many would they by chance, and how many does either share
with masks that know nothing of the task?

Reads   MODEL/                        the base model, whose norms chance is reckoned by
        FIRST, SECOND (safetensors)   masks, a file of each for every pair
        REFERENCES (safetensors)      masks of every pair's references, one pair after the other
Writes  overlap.csv     a row per pair and seed, in full
        overlap.md      a row per pair for people: means over seeds
        overlap.tex     the same with booktabs
        overlap.html    the same for the report
"""

from __future__ import annotations

from collections.abc import Sequence

from neft.core.mask import NeuronMask
from neft.models.checkpoint import Checkpoint
from neft.reporting import overlap, table_files
from neft.schema import Strict
from neft.script import parser, run
from neft.selection import base_vectors


class MaskPair(Strict):
    """What two masks are called, and the references beside them."""

    a: str
    b: str
    seed: int | None
    references: tuple[str, ...] = ()


class Spec(Strict):
    """What the table is called, and which masks the files are."""

    title: str
    pairs: tuple[MaskPair, ...]
    """In the order of the files."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--first", nargs="+", required=True)
    arguments.add_argument("--second", nargs="+", required=True)
    arguments.add_argument("--references", nargs="*", default=[])
    table_files.arguments(arguments)
    args = arguments.parse_args(argv)
    spec: Spec = args.spec

    masks = {path: NeuronMask.load(path) for path in {*args.first, *args.second, *args.references}}
    sites = {key: site for mask in masks.values() for key, site in mask.sites.items()}
    tenths = base_vectors.deciles(base_vectors.norms(Checkpoint(args.model), sites))
    files = iter(args.references)
    rows = []
    for pair, first, second in zip(spec.pairs, args.first, args.second, strict=True):
        beside = {name: masks[next(files)] for name in pair.references}
        measured = overlap.measure(masks[first], masks[second], tenths, beside)
        rows.append({"a": pair.a, "b": pair.b, "seed": pair.seed, **measured})
    lead = (
        "A row for each two sets of neurons: how much they share, beside what chance gives and what"
        " they share with sets that know nothing of the task."
    )
    table_files.write(args, rows, [overlap.sheet(spec.title, rows)], "Overlap of masks", lead)


if __name__ == "__main__":
    run(main)
