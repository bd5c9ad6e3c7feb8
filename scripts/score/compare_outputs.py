"""Test whether a method's score differs from the baseline's by more than chance.

Reads   outputs.jsonl, baseline.jsonl   rows {id, reference, output, …}, the same ids and references in the same order
        segments.json, baseline.json    {segments: one value a row, …}, for a metric whose segments are scored elsewhere
Writes  comparison.json                 {metric, baseline, baseline_run, value, baseline_value, p, signature}

--spec  {"metric": {"kind": "bleu", …}, "language": "fr", "baseline": "full",
        "baseline_run": {"dataset": "demo", "seed": 1}}   what the baseline was tuned on, and its seed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from neft import plugins
from neft.scoring import significance
from neft.scoring.rows import check_aligned, read_rows
from neft.script import parser, run
from neft.storage import files


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--outputs", required=True)
    arguments.add_argument(
        "--baseline", required=True, help="outputs of the method named in the spec"
    )
    arguments.add_argument("--segments", help="scores of the segments, if another rule made them")
    arguments.add_argument("--baseline-segments", help="the baseline's")
    arguments.add_argument("--comparison", required=True)
    args = arguments.parse_args(argv)

    block, language = args.spec["metric"], args.spec["language"]
    metric, options = plugins.load("metrics", block["kind"]), plugins.settings("metrics", block)
    rows = read_rows(args.outputs, args.segments)
    baseline = read_rows(args.baseline, args.baseline_segments)
    check_aligned(rows, baseline, args.outputs, args.baseline)
    first, second = (metric.statistics(one, options, language) for one in (rows, baseline))
    signature = metric.signature(rows, options, language)
    comparison = significance.compare(metric, options, first, second, signature)
    compared = {key: args.spec[key] for key in ("baseline", "baseline_run")}
    result = {"metric": options.kind, **compared, **asdict(comparison)}
    files.write_json(args.comparison, files.seal(result))


if __name__ == "__main__":
    run(main)
