"""Test whether a method's score differs from the baseline's by more than chance.

Reads   outputs.jsonl, baseline.jsonl   rows {id, reference, output, …}, the same ids and references in the same order
Writes  comparison.json                 {metric, baseline, value, baseline_value, p, signature}

--spec  {"metric": {"kind": "bleu", …}, "language": "fr", "baseline": "full"}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from neft import files, plugins
from neft.cli import parser, run
from neft.errors import NeftError


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--outputs", required=True)
    arguments.add_argument("--baseline", required=True, help="outputs of the method named in the spec")
    arguments.add_argument("--comparison", required=True)
    args = arguments.parse_args(argv)

    metric = args.spec["metric"]
    rows, baseline = files.read_rows(args.outputs), files.read_rows(args.baseline)
    check_aligned(rows, baseline, args.outputs, args.baseline)
    plugin = plugins.load("metrics", metric["kind"])
    comparison = plugin.paired(rows, baseline, metric, args.spec["language"])
    result = {"metric": metric["kind"], "baseline": args.spec["baseline"], **asdict(comparison)}
    files.write_json(args.comparison, result)


def check_aligned(rows: list[dict[str, Any]], others: list[dict[str, Any]], path: str, other_path: str) -> None:
    """A paired test resamples rows by position. Raises NeftError at the first that isn't the same sentence in both files."""
    if len(rows) != len(others):
        raise NeftError(
            f"{path} has {len(rows)} rows but {other_path} has {len(others)}; both must come from the same test set"
        )
    for number, (row, other) in enumerate(zip(rows, others, strict=True), start=1):
        for key in ("id", "reference"):
            if row[key] != other[key]:
                raise NeftError(
                    f"row {number}: {key} is {row[key]!r} in {path} but {other[key]!r} in {other_path}; it must be the same"
                )


if __name__ == "__main__":
    run(main)
