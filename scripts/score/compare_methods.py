"""Compare methods on one test set, by the runs of all their training seeds.

Reads   OUTPUTS (jsonl)    rows {id, reference, output, …} of every run, the same ids and references in the same order
        SEGMENTS (json)    {segments: one value a row, …} of every run, for a metric whose segments are scored elsewhere
Writes  comparison.json    {metric, pairs: [{first, second, difference: {value, low, high, p, seeds, rows, error, freedom},
                           run_p, runs: [{seed, first, second}], signature}], sha256 of all this}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from neft import plugins
from neft.schema import Strict
from neft.scoring import pairs
from neft.scoring.rows import check_aligned, read_outputs
from neft.script import parser, run
from neft.storage import files

if TYPE_CHECKING:
    import numpy as np


class Spec(Strict):
    """The metric, the language of the outputs, whose these are, and who is compared with whom."""

    metric: Annotated[Any, plugins.block("metrics")]
    language: str
    runs: tuple[tuple[str, int], ...]
    """Method and training seed, in the order of the files."""
    pairs: tuple[tuple[str, str], ...]
    """Methods: the first less the second."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--outputs", nargs="+", required=True)
    arguments.add_argument("--segments", nargs="+", help="if another rule scored the segments")
    arguments.add_argument("--comparison", required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    metric, options = plugins.load("metrics", spec.metric.kind), spec.metric
    segments = args.segments or [None] * len(args.outputs)
    counts: dict[str, dict[int, np.ndarray]] = {}
    for (method, seed), outputs, scored in zip(spec.runs, args.outputs, segments, strict=True):
        rows = read_outputs(outputs, scored)
        if not counts:
            beginning, signature = rows, metric.signature(rows, options, spec.language)
        check_aligned(beginning, rows, args.outputs[0], outputs)
        # Counted once for each run, not once for each pair.
        counts.setdefault(method, {})[seed] = metric.statistics(rows, options, spec.language)
    found = [
        pairs.compare(
            metric, options, (first, counts[first]), (second, counts[second]), signature
        ).model_dump(mode="json")
        for first, second in spec.pairs
    ]
    files.write_json(args.comparison, files.seal({"metric": options.kind, "pairs": found}))


if __name__ == "__main__":
    run(main)
