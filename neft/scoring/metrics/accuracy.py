"""Accuracy: the share of answers that are right, with Wilson's interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from neft.schema import Strict
from neft.scoring.rows import Rows, texts
from neft.scoring.score import CONFIDENCE, Score, ratio

if TYPE_CHECKING:
    import numpy as np

FITS = frozenset({"mmlu", "nli"})

Z = 1.959963984540054
"""The normal distribution's 97.5th percentile."""


class Spec(Strict):
    """Accuracy: percentage of answers that are exactly the reference."""

    kind: Literal["accuracy"]
    """Accuracy."""


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
    return "Accuracy"


def score(rows: Rows, spec: Spec, language: str) -> Score:
    """Score output rows: 100 where output and reference are the same text, else 0; the language
    plays no part.

    An empty output is an answer that could not be read: wrong, and counted. Raises NeftError as
    `rows.texts`.
    """
    right = _right(rows)
    n, share = len(right), sum(right) / len(right)
    low, high = wilson(sum(right), n)
    unread = sum(not row["output"] for row in rows)
    return Score(
        value=100 * share,
        low=100 * low,
        high=100 * high,
        confidence=CONFIDENCE,
        signature=f"{signature(rows, spec, language)}|interval:wilson",
        segments=[100.0 * one for one in right],
        standard_error=100 * math.sqrt(share * (1 - share) / (n - 1)) if n > 1 else None,
        details={"unreadable": 100 * unread / n},
        notes=(
            [f"{unread} of {n} answers were none of the allowed ones and count as wrong"]
            if unread
            else []
        ),
    )


def statistics(rows: Rows, spec: Spec, language: str) -> np.ndarray:
    """Of each row, [rows, 2] float64: 100 if it is right, else 0; and 1."""
    import numpy as np

    return np.array([[100.0 * one, 1.0] for one in _right(rows)])


def value(sums: np.ndarray, spec: Spec) -> np.ndarray:
    """Accuracy of sums [..., 2] over rows, 0 to 100."""
    return ratio(sums)


def signature(rows: Rows, spec: Spec, language: str) -> str:
    """Whether answers were compared by their likelihood or read from text: scores of the two say
    different things.
    """
    answers = "likelihood" if all("scores" in row for row in rows) else "generated"
    return f"accuracy|n:{len(rows)}|answers:{answers}"


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of Wilson (1927) for a share of `right` in `n`, from 0 to 1."""
    share, z2 = right / n, Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # At 0 and n the ends are exactly 0 and 1, but for rounding.
    return (0.0 if right == 0 else middle - half), (1.0 if right == n else middle + half)


def _right(rows: Rows) -> list[bool]:
    outputs, references = texts(rows)
    return [output == reference for output, reference in zip(outputs, references, strict=True)]
