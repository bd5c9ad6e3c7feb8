"""Score generated outputs against their references.

Reads   outputs.jsonl   rows {id, source, reference, output, …}
        segments.json   {segments: one value a row, …}, for a metric whose segments are scored in another environment
Writes  score.json      {metric, title, higher_is_better, decimals, value, low, high, confidence, signature,
                        standard_error, details, notes, n, segments: one value a row, sha256 of all this}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from neft import plugins
from neft.schema import Strict
from neft.scoring.rows import read_outputs
from neft.script import parser, run
from neft.storage import files


class Spec(Strict):
    """The metric, and the language of the outputs."""

    metric: Annotated[Any, plugins.block("metrics")]
    language: str


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--outputs", required=True)
    arguments.add_argument("--segments", help="scores of the segments, if another rule made them")
    arguments.add_argument("--score", required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    metric, options = plugins.load("metrics", spec.metric.kind), spec.metric
    rows = read_outputs(args.outputs, args.segments)
    result = asdict(metric.score(rows, options, spec.language))
    segments = result.pop("segments")
    head = {
        "metric": options.kind,
        "title": metric.title(options),
        "higher_is_better": metric.higher_is_better(options),
        "decimals": metric.decimals(options),
    }
    files.write_json(
        args.score, files.seal({**head, **result, "n": len(rows), "segments": segments})
    )


if __name__ == "__main__":
    run(main)
