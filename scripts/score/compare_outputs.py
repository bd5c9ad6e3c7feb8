"""Test whether a method's score differs from the baseline's by more than chance.

Reads   outputs.jsonl, baseline.jsonl   rows {id, reference, output, …}, the same ids and references in the same order
        segments.json, baseline.json    {segments: one value a row, …}, for a metric whose segments are scored elsewhere
Writes  comparison.json                 {metric, baseline, value, baseline_value, p, signature}

--spec  {"metric": {"kind": "bleu", …}, "language": "fr", "baseline": "full"}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from neft import plugins
from neft.scoring import scores
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

    metric = args.spec["metric"]
    rows = scores.read_rows(args.outputs, args.segments)
    baseline = scores.read_rows(args.baseline, args.baseline_segments)
    scores.check_aligned(rows, baseline, args.outputs, args.baseline)
    plugin = plugins.load("metrics", metric["kind"])
    comparison = plugin.paired(rows, baseline, metric, args.spec["language"])
    result = {"metric": metric["kind"], "baseline": args.spec["baseline"], **asdict(comparison)}
    files.write_json(args.comparison, files.seal(result))


if __name__ == "__main__":
    run(main)
