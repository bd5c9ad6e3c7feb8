"""How many neurons does tuning affect strongly, and of these how many fall, and how many did it not
train?

Reads   FIRST, SECOND (safetensors)   utilization that rank_neurons wrote, a file of each for every pair
Writes  categories.json   {neurons, threshold (places), unrelated (neurons that are strong between unrelated rankings),
                          pairs: [{a, b, seed, strong, suppressed, indirect}]}
        categories.csv    the same, a row per pair and seed
"""

from __future__ import annotations

from collections.abc import Sequence

from neft.analysis import ranking
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files


class Spec(Strict):
    """Which models the files are of, and what counts as strong: a rank difference of more than a
    fraction of all neurons, or of more than a number of places.
    """

    pairs: tuple[dict[str, str | int], ...]
    """{a, b, seed} of each pair, in the order of the files."""
    fraction: float | None
    neurons: int | None

    def places(self, count: int) -> float:
        """The threshold in places of a ranking of `count` neurons."""
        if self.neurons is not None:
            return self.neurons
        assert self.fraction is not None  # the configuration has one of the two
        return self.fraction * count


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--first", nargs="+", required=True)
    arguments.add_argument("--second", nargs="+", required=True)
    arguments.add_argument("--json", required=True)
    arguments.add_argument("--csv", required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    pairs, neurons = [], 0
    for names, first, second in zip(spec.pairs, args.first, args.second, strict=True):
        pair = ranking.load_pair(first, second)
        neurons = len(pair.first)
        pairs.append({**names, **ranking.categories(pair, spec.places(neurons))._asdict()})
    threshold = spec.places(neurons)
    sizes = {
        "neurons": neurons,
        "threshold": threshold,
        "unrelated": ranking.unrelated(neurons, threshold),
    }
    files.write_json(args.json, {**sizes, "pairs": pairs})
    files.write_csv(args.csv, [{**pair, **sizes} for pair in pairs])


if __name__ == "__main__":
    run(main)
