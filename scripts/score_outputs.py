"""Score generated outputs against their references.

Reads   outputs.jsonl   rows {id, reference, output, …}
Writes  score.json      {metric, title, value, low, high, confidence, signature, standard_error, details, notes, n,
                        segments: one value a row}

--spec  {"metric": {"kind": "chrf", …}, "language": "fr"}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from neft import files, plugins
from neft.cli import parser, run


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--outputs", required=True)
    arguments.add_argument("--score", required=True)
    args = arguments.parse_args(argv)

    metric = args.spec["metric"]
    rows = files.read_rows(args.outputs)
    plugin = plugins.load("metrics", metric["kind"])
    result = asdict(plugin.score(rows, metric, args.spec["language"]))
    segments = result.pop("segments")
    head = {"metric": metric["kind"], "title": plugin.title(metric)}
    files.write_json(args.score, {**head, **result, "n": len(rows), "segments": segments})


if __name__ == "__main__":
    run(main)
