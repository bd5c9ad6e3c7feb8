"""Accuracy: the share of answers that are right, with Wilson's interval and McNemar's exact
test.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from neft.schema import Strict
from neft.scoring import scores

Z = 1.959963984540054
"""The normal distribution's 97.5th percentile."""


class Spec(Strict):
    """Accuracy: percentage of answers that are exactly the reference."""

    kind: Literal["accuracy"]
    """Accuracy."""


def title(spec: dict[str, Any]) -> str:
    """The name of the score in tables and figures."""
    return "Accuracy"


def score(rows: scores.Rows, spec: dict[str, Any], language: str) -> scores.Score:
    """Score output rows: 100 where output and reference are the same text, else 0; the language
    plays no part.

    An empty output is an answer that could not be read: wrong, and counted. Raises NeftError as
    `scores.texts`.
    """
    right = _right(rows)
    n, share = len(right), sum(right) / len(right)
    low, high = wilson(sum(right), n)
    unread = sum(not row["output"] for row in rows)
    return scores.Score(
        value=100 * share,
        low=100 * low,
        high=100 * high,
        confidence=scores.CONFIDENCE,
        signature=f"{_signature(rows)}|interval:wilson",
        segments=[100.0 * one for one in right],
        standard_error=100 * math.sqrt(share * (1 - share) / (n - 1)) if n > 1 else None,
        details={"unreadable": 100 * unread / n},
        notes=(
            [f"{unread} of {n} answers were none of the allowed ones and count as wrong"]
            if unread
            else []
        ),
    )


def paired(
    rows: scores.Rows, baseline: scores.Rows, spec: dict[str, Any], language: str
) -> scores.Comparison:
    """Compare with a baseline's answers to the same rows by McNemar's exact test (two-sided)."""
    ours, theirs = _right(rows), _right(baseline)
    better = sum(a and not b for a, b in zip(ours, theirs, strict=True))
    worse = sum(b and not a for a, b in zip(ours, theirs, strict=True))
    value, other = 100 * sum(ours) / len(ours), 100 * sum(theirs) / len(theirs)
    return scores.Comparison(
        value, other, mcnemar(better, worse), f"{_signature(rows)}|test:mcnemar-exact"
    )


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of Wilson (1927) for a share of `right` in `n`, from 0 to 1."""
    share, z2 = right / n, Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # At 0 and n the ends are exactly 0 and 1, but for rounding.
    return (0.0 if right == 0 else middle - half), (1.0 if right == n else middle + half)


def mcnemar(better: int, worse: int) -> float:
    """How often a fair coin for each row that only one system has right falls at least as unevenly
    (McNemar 1947, exact).
    """
    n, fewer = better + worse, min(better, worse)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(fewer + 1)) / (1 << n))


def _right(rows: scores.Rows) -> list[bool]:
    outputs, references = scores.texts(rows)
    return [output == reference for output, reference in zip(outputs, references, strict=True)]


def _signature(rows: scores.Rows) -> str:
    """Whether answers were compared by their likelihood or read from text: scores of the two say
    different things.
    """
    return f"accuracy|n:{len(rows)}|answers:{'likelihood' if all('scores' in row for row in rows) else 'generated'}"
