"""How many neurons does tuning affect strongly, and of these how many fall, and how many did it not
train?

Reads   FIRST, SECOND (safetensors)   utilization that rank_neurons wrote, a file of each for every pair
Writes  categories.json   {neurons, threshold (places), pairs: [{a, b, seed, strong, suppressed, indirect}]}
        categories.csv    the same, a row per pair and seed

--spec  {"pairs": [{"a", "b", "seed"}, …], "strong": {"fraction": …} or {"neurons": …}}; pairs in the order of the files
"""

from __future__ import annotations

from collections.abc import Sequence

from neft.analysis import ranking
from neft.script import parser, run
from neft.storage import files


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--first", nargs="+", required=True)
    arguments.add_argument("--second", nargs="+", required=True)
    arguments.add_argument("--json", required=True)
    arguments.add_argument("--csv", required=True)
    args = arguments.parse_args(argv)

    strong = args.spec["strong"]
    pairs, neurons = [], 0
    for names, first, second in zip(args.spec["pairs"], args.first, args.second, strict=True):
        pair = ranking.load_pair(first, second)
        neurons = len(pair.first)
        pairs.append({**names, **ranking.categories(pair, strong)._asdict()})
    sizes = {"neurons": neurons, "threshold": ranking.places(strong, neurons)}
    files.write_json(args.json, {**sizes, "pairs": pairs})
    files.write_csv(args.csv, [{**pair, **sizes} for pair in pairs])


if __name__ == "__main__":
    run(main)
