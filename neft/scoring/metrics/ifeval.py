"""IFEval's four accuracies (Zhou et al. 2023), from what the checkers said of every instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from neft.errors import NeftError
from neft.scoring.rows import Rows
from neft.scoring.score import Resampled, Score, mean_score, ratio

if TYPE_CHECKING:
    import numpy as np

FITS = frozenset({"ifeval"})


class Spec(Resampled):
    """IFEval: percentage of prompts (all instructions followed) or of single instructions."""

    kind: Literal["ifeval"]
    """Instructions followed."""
    level: Literal["prompt", "instruction"] = "prompt"
    """What counts: prompts of which all instructions are followed, or instructions."""
    strict: bool = True
    """Check the answer as it is; false: also without its first line, its last line, both, and
    asterisks; any may pass.
    """


def higher_is_better(spec: Spec) -> bool:
    """Whether the best score is the highest."""
    return True


def decimals(spec: Spec) -> int:
    """How many places tables and figures show."""
    return 1


def margin(spec: Spec) -> float:
    """Below this a difference is of no practical weight, unless `report.margin` says otherwise."""
    return 2.0


def title(spec: Spec) -> str:
    """The name of the score in tables and figures."""
    return f"IFEval ({spec.level}, {_mode(spec)})"


def score(rows: Rows, spec: Spec, language: str) -> Score:
    """Score output rows. Prompts are resampled also where instructions count: those of one prompt
    share their answer.

    The standard error is that of a ratio of sums over prompts (linearised); for prompts it is
    √(p(1-p)/(n-1)).
    """
    shares, weights = _followed(rows, spec)
    return mean_score(shares, signature(rows, spec, language), spec, weights=weights)


def statistics(rows: Rows, spec: Spec, language: str) -> np.ndarray:
    """Of each prompt, [rows, 2] float64: 100 for each that is followed of what counts, and how much
    counts.
    """
    import numpy as np

    shares, weights = np.array(_followed(rows, spec))
    return np.stack([shares * weights, weights], axis=1)


def value(sums: np.ndarray, spec: Spec) -> np.ndarray:
    """The percentage followed from sums [..., 2] over prompts."""
    return ratio(sums)


def signature(rows: Rows, spec: Spec, language: str) -> str:
    """What counts, and how it was checked."""
    return f"ifeval|{spec.level}|{_mode(spec)}"


def _followed(rows: Rows, spec: Spec) -> tuple[list[float], list[float]]:
    """Of each prompt: its score from 0 to 100, and how much it counts."""
    shares, weights = [], []
    for row in rows:
        passed = row.get(_mode(spec))
        if not isinstance(passed, list) or not passed:
            raise NeftError(
                f"row {row.get('id')}: metric ifeval needs `{_mode(spec)}`, a list of booleans, got"
                f" {passed!r}"
            )
        if spec.level == "prompt":
            shares.append(100.0 * all(passed))
            weights.append(1.0)
        else:
            shares.append(100.0 * sum(passed) / len(passed))
            weights.append(float(len(passed)))
    return shares, weights


def _mode(spec: Spec) -> str:
    return "strict" if spec.strict else "loose"
