"""IFEval's four accuracies (Zhou et al. 2023), from what the checkers said of every instruction."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from neft.errors import NeftError
from neft.schema import Strict
from neft.scoring import scores


class Spec(Strict):
    """IFEval: percentage of prompts (all instructions followed) or of single instructions."""

    kind: Literal["ifeval"]
    """Instructions followed."""
    level: Literal["prompt", "instruction"] = "prompt"
    """What counts: prompts of which all instructions are followed, or instructions."""
    strict: bool = True
    """Check the answer as it is; false: also without its first line, its last line, both, and
    asterisks; any may pass.
    """
    bootstrap: int = Field(1000, ge=100)
    """Resamples for the interval and the paired test."""


def title(spec: dict[str, Any]) -> str:
    """The name of the score in tables and figures."""
    return f"IFEval ({spec['level']}, {_mode(spec)})"


def score(rows: scores.Rows, spec: dict[str, Any], language: str) -> scores.Score:
    """Score output rows. Prompts are resampled also where instructions count: those of one prompt
    share their answer.

    The standard error is that of a ratio of sums over prompts (linearised); for prompts it is
    √(p(1-p)/(n-1)).
    """
    shares, weights = _followed(rows, spec)
    return scores.mean(shares, _signature(spec), spec["bootstrap"], weights=weights)


def paired(
    rows: scores.Rows, baseline: scores.Rows, spec: dict[str, Any], language: str
) -> scores.Comparison:
    """Compare with a baseline's answers to the same prompts by a paired bootstrap over prompts."""
    (shares, weights), (others, _) = _followed(rows, spec), _followed(baseline, spec)
    return scores.paired_means(shares, others, _signature(spec), spec["bootstrap"], weights=weights)


def _followed(rows: scores.Rows, spec: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Of each prompt: its score from 0 to 100, and how much it counts."""
    shares, weights = [], []
    for row in rows:
        passed = row.get(_mode(spec))
        if not isinstance(passed, list) or not passed:
            raise NeftError(
                f"row {row.get('id')}: metric ifeval needs `{_mode(spec)}`, a list of booleans, got"
                f" {passed!r}"
            )
        if spec["level"] == "prompt":
            shares.append(100.0 * all(passed))
            weights.append(1.0)
        else:
            shares.append(100.0 * sum(passed) / len(passed))
            weights.append(float(len(passed)))
    return shares, weights


def _mode(spec: dict[str, Any]) -> str:
    return "strict" if spec["strict"] else "loose"


def _signature(spec: dict[str, Any]) -> str:
    return f"ifeval|{spec['level']}|{_mode(spec)}"
