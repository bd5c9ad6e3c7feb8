"""Say in plain words which of the publication's claims hold in this experiment.

Reads   results/<name>/{score,compare,pairs,tune,tables}/…   scores, paired tests, sizes and losses of runs, overlaps
Writes  summary.md   a verdict for each claim, with the tests behind it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from neft.paper import verdicts
from neft.paper.paired import LEVEL
from neft.reporting.typeset import Cell, Sheet, markdown_table
from neft.script import parser, run
from neft.storage import files


class Spec(verdicts.Evidence):
    """What the page says beside the claims."""

    name: str
    """Of the experiment."""
    trials: dict[str, int]
    """How many each tuned method had."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--results", type=Path, required=True, help="the folder results/<name>")
    arguments.add_argument("--summary", type=Path, required=True)
    args = arguments.parse_args(argv)
    files.write_text(args.summary, text(args.spec, verdicts.findings(args.spec, args.results)))


def text(spec: Spec, found: Sequence[verdicts.Finding]) -> str:
    """The page: all verdicts at a glance, how they were come by, then each with its tests."""
    glance = Sheet(
        "",
        ["Claim", "Here"],
        [[Cell(finding.claim), Cell(finding.verdict, bold=True)] for finding in found],
        [],
    )
    seeds = len({run.seed for run in spec.runs})
    parts = [
        f"# Which of the publication's claims hold in `{spec.name}`",
        markdown_table(glance),
        (
            "A claim is judged by paired tests on the test rows, in each experiment's first"
            f" metric. {_seeds(seeds)}"
        ),
        (
            "p is two-sided, and corrected for the number of tests of its claim (Holm); below"
            f" {LEVEL} a difference counts. A test by n random swaps gives no p"
            " below 1 / (n + 1), however clear the difference. Tests that share models or rows"
            " are not independent."
        ),
        _trials(spec.trials),
    ]
    for finding in found:
        parts += [
            f"## {finding.claim}",
            finding.sentence,
            *([markdown_table(finding.sheet)] if finding.sheet else []),
        ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _seeds(seeds: int) -> str:
    if seeds <= 1:
        return (
            "There is one seed: a test speaks of these very runs, and not of what another seed"
            " would give."
        )
    return (
        f"There are {seeds} seeds: differences are means over them, p is the largest of theirs, and"
        " 1 where they disagree on who is ahead."
    )


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
