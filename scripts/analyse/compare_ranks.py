"""How far do neurons move in the ranking by utilization, from one model to another?

Reads   FIRST, SECOND (safetensors)   utilization that rank_neurons wrote, a file of each for every pair
Writes  ranks.json    {neurons, pairs: [{a, b, seed, mean, buckets: [{low, high, neurons, mean, unrelated}]}]}
        ranks.csv     a row per pair, seed and bucket, and one for all neurons (0 to 100 %)

Means are of absolute rank differences, in places of the ranking; buckets are of the first model's
ranking, in percent from the top; `unrelated` is the mean to be expected if the second ranking had
nothing to do with the first.
"""

from __future__ import annotations

from collections.abc import Sequence

from neft.analysis import ranking
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files


class Spec(Strict):
    """Which models the files are of, and where the ranking is cut."""

    pairs: tuple[dict[str, str | int], ...]
    """{a, b, seed} of each pair, in the order of the files."""
    buckets: tuple[int | float, ...]
    """Edges in percent of the ranking, from the top."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--first", nargs="+", required=True)
    arguments.add_argument("--second", nargs="+", required=True)
    arguments.add_argument("--json", required=True)
    arguments.add_argument("--csv", required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    pairs, rows, neurons = [], [], 0
    for names, first, second in zip(spec.pairs, args.first, args.second, strict=True):
        pair = ranking.load_pair(first, second)
        neurons = len(pair.first)
        buckets = [bucket._asdict() for bucket in ranking.buckets(pair, spec.buckets)]
        (whole,) = ranking.buckets(pair, [])
        pairs.append(
            {**names, "mean": whole.mean, "unrelated": whole.unrelated, "buckets": buckets}
        )
        rows += [{**names, **bucket} for bucket in [*buckets, whole._asdict()]]
    files.write_json(args.json, {"neurons": neurons, "pairs": pairs})
    files.write_csv(args.csv, rows)


if __name__ == "__main__":
    run(main)
