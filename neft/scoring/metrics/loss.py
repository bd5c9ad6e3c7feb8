"""Loss: how unlikely the right answer is to the model, from what `measure_losses.py` wrote.

It asks all test rows at the price of reading them, needs nothing generated, and tells apart what
scores of texts do not: every token of every answer counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from neft.errors import NeftError
from neft.scoring.rows import Rows
from neft.scoring.score import Resampled, Score, mean_score, ratio

if TYPE_CHECKING:
    import numpy as np

FITS = frozenset({"chat", "instruction", "nli", "summarization", "translation"})

READS = frozenset({"losses"})


class Spec(Resampled):
    """Loss of the right answer, in nats per token, teacher-forced; needs no generated outputs."""

    kind: Literal["loss"]
    """Loss of the right answer."""


def higher_is_better(spec: Spec) -> bool:
    """Whether the best score is the highest."""
    return False


def decimals(spec: Spec) -> int:
    """How many places tables and figures show."""
    return 3


def margin(spec: Spec) -> float:
    """Below this a difference is of no practical weight, unless `report.margin` says otherwise."""
    return 0.02


def title(spec: Spec) -> str:
    """The name of the score in tables and figures."""
    return "Loss"


def score(rows: Rows, spec: Spec, language: str) -> Score:
    """The loss of all answers over their number of tokens; the language plays no part.

    rows: {loss, tokens, right}. Details: the share of tokens that were the likeliest, in percent.
    Raises NeftError if there are no rows or a loss is not finite.
    """
    _check(rows)
    tokens = [float(row["tokens"]) for row in rows]
    return mean_score(
        [row["loss"] / row["tokens"] for row in rows],
        signature(rows, spec, language),
        spec,
        details={"token_accuracy": 100 * sum(row["right"] for row in rows) / sum(tokens)},
        weights=tokens,
    )


def statistics(rows: Rows, spec: Spec, language: str) -> np.ndarray:
    """Of each row, [rows, 2] float64: its loss, and its number of tokens."""
    import numpy as np

    _check(rows)
    return np.array([[row["loss"], row["tokens"]] for row in rows], dtype=np.float64)


def value(sums: np.ndarray, spec: Spec) -> np.ndarray:
    """Loss per token of sums [..., 2] over rows."""
    return ratio(sums)


def signature(rows: Rows, spec: Spec, language: str) -> str:
    """How many rows and tokens."""
    return f"loss|n:{len(rows)}|tokens:{sum(row['tokens'] for row in rows)}"


def _check(rows: Rows) -> None:
    if not rows:
        raise NeftError("scoring needs at least one row, got 0")
