"""Test whether a method's score differs from the baseline's by more than chance.

Reads   outputs.jsonl, baseline.jsonl   rows {id, reference, output, …}, the same ids and references in the same order
        segments.json, baseline.json    {segments: one value a row, …}, for a metric whose segments are scored elsewhere
Writes  comparison.json                 {metric, baseline, baseline_run, value, baseline_value, p, signature}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from neft import plugins
from neft.schema import Strict
from neft.scoring import significance
from neft.scoring.rows import check_aligned, read_outputs
from neft.script import parser, run
from neft.storage import files


class Spec(Strict):
    """The metric, the language of the outputs, and whose the baseline's are."""

    metric: Annotated[Any, plugins.block("metrics")]
    language: str
    baseline: str
    """The method."""
    baseline_run: dict[str, str | int]
    """{dataset: what it was tuned on, seed}."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--outputs", required=True)
    arguments.add_argument(
        "--baseline", required=True, help="outputs of the method named in the spec"
    )
    arguments.add_argument("--segments", help="scores of the segments, if another rule made them")
    arguments.add_argument("--baseline-segments", help="the baseline's")
    arguments.add_argument("--comparison", required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    metric, options, language = (
        plugins.load("metrics", spec.metric.kind),
        spec.metric,
        spec.language,
    )
    rows = read_outputs(args.outputs, args.segments)
    baseline = read_outputs(args.baseline, args.baseline_segments)
    check_aligned(rows, baseline, args.outputs, args.baseline)
    first, second = (metric.statistics(one, options, language) for one in (rows, baseline))
    signature = metric.signature(rows, options, language)
    comparison = significance.compare(metric, options, first, second, signature)
    compared = {"baseline": spec.baseline, "baseline_run": spec.baseline_run}
    result = {"metric": options.kind, **compared, **asdict(comparison)}
    files.write_json(args.comparison, files.seal(result))


if __name__ == "__main__":
    run(main)
