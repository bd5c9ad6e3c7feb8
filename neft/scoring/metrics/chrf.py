"""chrF and chrF++ by sacrebleu (Popović 2015, 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from neft.scoring.rows import Rows
from neft.scoring.score import Resampled, Score, by_sacrebleu, sacrebleu_statistics

if TYPE_CHECKING:
    import numpy as np
    from sacrebleu.metrics.chrf import CHRF

FITS = frozenset({"chat", "instruction", "summarization", "translation"})

_BETA = 2


class Spec(Resampled):
    """chrF++: F2 score of character and word n-grams, 0 to 100."""

    kind: Literal["chrf"]
    word_order: int = Field(2, ge=0, le=4)
    """Longest word n-gram. 2 is chrF++, 0 is chrF."""


def higher_is_better(spec: Spec) -> bool:
    """Whether the best score is the highest."""
    return True


def decimals(spec: Spec) -> int:
    """How many places tables and figures show."""
    return 1


def margin(spec: Spec) -> float:
    """Below this a difference is of no practical weight, unless `report.margin` says otherwise."""
    return 1.0


def title(spec: Spec) -> str:
    """The name of the score in tables and figures."""
    return {0: "chrF", 2: "chrF++"}.get(spec.word_order, f"chrF, {spec.word_order}-word")


def score(rows: Rows, spec: Spec, language: str) -> Score:
    """Score output rows against one reference each; the language plays no part, as characters need
    no tokenizer.
    """
    return by_sacrebleu(_metric(spec), _metric(spec), rows, spec, highest=100.0)


def statistics(rows: Rows, spec: Spec, language: str) -> np.ndarray:
    """Of each row, [rows, 3 · (6 + word_order)] float64: for every order its n-grams in the output,
    in the reference and in common, characters before words.
    """
    return sacrebleu_statistics(_metric(spec), rows)


def value(sums: np.ndarray, spec: Spec) -> np.ndarray:
    """chrF of sums [..., 3 · (6 + word_order)] over rows, 0 to 100: the F2 score of precision and
    recall, each the mean over the orders that both sides have.
    """
    import numpy as np

    output, reference, same = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
    both = (output > 0) & (reference > 0)
    orders = np.maximum(both.sum(axis=-1), 1)
    precision, recall = (
        np.where(both, same / np.maximum(side, 1), 0).sum(axis=-1) / orders
        for side in (output, reference)
    )
    beta = _BETA * _BETA
    below = beta * precision + recall
    score: np.ndarray = 100 * (1 + beta) * precision * recall / np.where(below > 0, below, 1)
    return score


def signature(rows: Rows, spec: Spec, language: str) -> str:
    """What was counted and how, as sacrebleu says it."""
    metric = _metric(spec)
    sacrebleu_statistics(metric, rows[:1])
    return str(metric.get_signature())


def _metric(spec: Spec) -> CHRF:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(word_order=spec.word_order, beta=_BETA)
