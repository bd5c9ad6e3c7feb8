"""How much do methods differ, over training seeds and test rows?

Reads   OUTPUTS (jsonl)      outputs of every run, on the same rows
        SEGMENTS (json)      scores of their segments, for a metric that another rule computes (COMET)
Writes  comparisons.json     {title, higher_is_better, decimals, signature, pairs: [{first, second, difference: {value,
                             low, high, p, seeds, rows, error, freedom}, runs: [{seed, first, second, p}]}]}

A difference is the first method less the second (`neft.scoring.methods`); p is null with one seed,
which says nothing of methods. A run's p is that of the two runs of a seed (`neft.scoring.significance`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

from neft import plugins
from neft.results import comparisons
from neft.results.comparisons import Comparison, Comparisons, RunPair
from neft.schema import Strict
from neft.scoring import methods, significance
from neft.scoring.rows import check_aligned, read_outputs
from neft.script import parser, run

if TYPE_CHECKING:
    import numpy as np


class RunName(Strict):
    """Whose outputs a file holds."""

    method: str
    seed: int


class Spec(Strict):
    """The metric, the language of the outputs, and which methods are compared."""

    metric: Annotated[Any, plugins.block("metrics")]
    language: str
    runs: tuple[RunName, ...]
    """In the order of the files."""
    pairs: tuple[tuple[str, str], ...]


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--outputs", nargs="+", required=True)
    arguments.add_argument("--segments", nargs="+", help="scores, if another rule made them")
    arguments.add_argument("--comparisons", type=Path, required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    metric, options, language = (
        plugins.load("metrics", spec.metric.kind),
        spec.metric,
        spec.language,
    )
    segments = args.segments or [None] * len(args.outputs)
    rows = [read_outputs(*paths) for paths in zip(args.outputs, segments, strict=True)]
    for one, path in zip(rows[1:], args.outputs[1:], strict=True):
        check_aligned(rows[0], one, args.outputs[0], path)
    # Counted once for each run, not once for each pair.
    statistics: dict[str, dict[int, np.ndarray]] = {}
    for name, one in zip(spec.runs, rows, strict=True):
        counted = metric.statistics(one, options, language)
        statistics.setdefault(name.method, {})[name.seed] = counted
    signature = metric.signature(rows[0], options, language)
    pairs = tuple(
        compare(first, second, statistics, metric, options) for first, second in spec.pairs
    )
    several = any(pair.difference.seeds > 1 for pair in pairs)
    test = methods.TEST if several else significance.name_of(options)
    found = Comparisons(
        title=metric.title(options),
        higher_is_better=metric.higher_is_better(options),
        decimals=metric.decimals(options),
        signature=f"{signature}|{test}",
        pairs=pairs,
    )
    comparisons.write(args.comparisons, found)


def compare(
    first: str,
    second: str,
    statistics: Mapping[str, Mapping[int, np.ndarray]],
    metric: ModuleType,
    options: Any,
) -> Comparison:
    """Two methods over all seeds, and the two runs of each seed; statistics [rows, k] by method and
    seed.
    """
    paired = methods.pair_up(statistics[first], statistics[second])
    firsts, seconds = zip(*paired.values(), strict=True)
    value = partial(metric.value, spec=options)
    runs = []
    for seed, pair in paired.items():
        tested = significance.compare(metric, options, *pair)
        runs.append(RunPair(seed, tested.value, tested.baseline_value, tested.p))
    return Comparison(first, second, methods.compare(firsts, seconds, value), tuple(runs))


if __name__ == "__main__":
    run(main)
