"""chrF and chrF++ by sacrebleu (Popović 2015, 2017)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from neft.schema import Strict
from neft.scoring import scores

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF


class Spec(Strict):
    """chrF++: F2 score of character and word n-grams, 0 to 100."""

    kind: Literal["chrf"]
    word_order: int = Field(2, ge=0, le=4)
    """Longest word n-gram. 2 is chrF++, 0 is chrF."""
    bootstrap: int = Field(1000, ge=100)
    """Resamples for the interval and the paired test."""


def title(spec: dict[str, Any]) -> str:
    """The name of the score in tables and figures."""
    return {0: "chrF", 2: "chrF++"}.get(spec["word_order"], f"chrF, {spec['word_order']}-word")


def score(rows: scores.Rows, spec: dict[str, Any], language: str) -> scores.Score:
    """Score output rows against one reference each; the language plays no part, as characters need
    no tokenizer.
    """
    metric = partial(_metric, spec)
    return scores.score(metric, metric, rows, spec["bootstrap"])


def paired(
    rows: scores.Rows, baseline: scores.Rows, spec: dict[str, Any], language: str
) -> scores.Comparison:
    """Compare outputs with a baseline's on the same references."""
    return scores.paired(partial(_metric, spec), rows, baseline, spec["bootstrap"])


def _metric(spec: dict[str, Any]) -> CHRF:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(word_order=spec["word_order"])
