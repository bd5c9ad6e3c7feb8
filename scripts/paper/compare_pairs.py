"""Compare pairs of methods on the same test rows by a paired test.

Reads   OUTPUTS (jsonl)     outputs of every method, on the same rows
        SEGMENTS (json)     scores of their segments, for a metric that another rule computes (COMET)
Writes  pairs.json          {signature, pairs: [{first, second, first_value, second_value, p}]}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from neft import plugins
from neft.schema import Strict
from neft.scoring import significance
from neft.scoring.rows import check_aligned, read_outputs
from neft.script import parser, run
from neft.storage import files


class Spec(Strict):
    """The metric, the language of the outputs, and who is compared with whom."""

    metric: Annotated[Any, plugins.block("metrics")]
    language: str
    methods: tuple[str, ...]
    """In the order of the files."""
    pairs: tuple[tuple[str, str], ...]


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--outputs", nargs="+", required=True)
    arguments.add_argument("--segments", nargs="+")
    arguments.add_argument("--pairs", required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    metric, options, language = (
        plugins.load("metrics", spec.metric.kind),
        spec.metric,
        spec.language,
    )
    segments = args.segments or [None] * len(args.outputs)
    rows = {
        name: read_outputs(outputs, scored)
        for name, outputs, scored in zip(spec.methods, args.outputs, segments, strict=True)
    }
    # Counted once for each method, not once for each pair.
    statistics = {name: metric.statistics(one, options, language) for name, one in rows.items()}
    found, signature = [], None
    for first, second in spec.pairs:
        check_aligned(rows[first], rows[second], first, second)
        counted = metric.signature(rows[first], options, language)
        result = significance.compare(
            metric, options, statistics[first], statistics[second], counted
        )
        values = {"first_value": result.value, "second_value": result.baseline_value, "p": result.p}
        found.append({"first": first, "second": second, **values})
        signature = result.signature
    files.write_json(args.pairs, {"signature": signature, "pairs": found})


if __name__ == "__main__":
    run(main)
