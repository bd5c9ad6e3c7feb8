"""Say in plain words what this experiment says of the publication's claims.

Reads   results/<name>/{compare,tune,tables}/…   comparisons of methods, sizes and losses of runs, overlaps
Writes  summary.md   every claim that is tested, with a word for each comparison
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from neft.paper import verdicts
from neft.reporting.typeset import Cell, Sheet, markdown_table
from neft.results import runs
from neft.scoring.corrections import LEVEL
from neft.script import parser, run
from neft.storage import files

JUDGED = (
    "Each word is about a difference of methods, the first less the second, paired by seed and row;"
    " its interval is over both. *better* and *worse*: it is not zero. *equivalent*: it is smaller"
    " than the margin (two one-sided tests), and so of no practical weight. *undecided*: neither"
    " can be said, which is no sign of equality. The tests of all claims on this page are corrected"
    f" together, so that the chance of any wrong word is at most {LEVEL:.0%} (Holm 1979, Shaffer"
    " 1986), also where tests share models or rows."
)
ONE_SEED = (
    "**There is one seed, so nothing can be said of methods**: what follows compares these very"
    " runs. Intervals are over test rows; p is of swapping rows between two runs, and not"
    " corrected. With several `seeds` this page judges the claims."
)


class Spec(verdicts.Evidence):
    """What the page says beside the claims."""

    name: str
    """Of the experiment."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--results", type=Path, required=True, help="the folder results/<name>")
    arguments.add_argument("--summary", type=Path, required=True)
    args = arguments.parse_args(argv)
    spec: Spec = args.spec
    found = verdicts.findings(spec, args.results)
    files.write_text(args.summary, text(spec.name, found, numbers_of_trials(spec, args.results)))


def numbers_of_trials(spec: Spec, root: Path) -> dict[str, int]:
    """How many trials each tuned method had."""
    tuned: dict[str, list[runs.Run]] = {}
    for one in spec.runs:
        if one.tuned:
            tuned.setdefault(one.method, []).append(one)
    return {method: runs.trials(root, seeds) for method, seeds in tuned.items()}


def text(name: str, found: Sequence[verdicts.Finding], trials: Mapping[str, int]) -> str:
    """The page: all claims at a glance, how they were judged, then each with its tests."""
    parts = [f"# What `{name}` says of the publication's claims"]
    if not found:
        parts.append("It tests none of them.")
    elif any(test.word for finding in found for test in finding.tests):
        parts += [markdown_table(glance(found)), JUDGED, _trials(trials)]
    else:
        parts += [ONE_SEED, _trials(trials)]
    for finding in found:
        parts += [f"## {finding.claim}", markdown_table(verdicts.sheet(finding))]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def glance(found: Sequence[verdicts.Finding]) -> Sheet:
    """How many comparisons of each claim end with which word."""
    rows = [
        [Cell(finding.claim)]
        + [
            Cell(str(count) if count else "–", bold=bool(count))
            for count in finding.counts.values()
        ]
        for finding in found
    ]
    return Sheet("", ["Claim", *verdicts.WORDS], rows, [])


def _trials(trials: Mapping[str, int]) -> str:
    if len(set(trials.values())) <= 1:
        count = max(trials.values(), default=0)
        return (
            f"Every method's learning rate is that of the best of {count} trials by dev loss."
            if count > 1
            else ""
        )
    counts = ", ".join(f"{method} {count}" for method, count in trials.items())
    return (
        "**Not all methods had the same number of trials**, which favours those with more:"
        f" {counts}."
    )


if __name__ == "__main__":
    run(main)
