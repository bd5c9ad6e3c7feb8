"""BLEU by sacrebleu (Papineni et al. 2002; Post 2018)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from neft.errors import NeftError
from neft.schema import Strict
from neft.scoring import scores

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

_CHINESE = ("zh", "zho", "chi", "cmn", "yue")
# Written without spaces, and without a tokenizer of their own that needs nothing else installed.
_NO_SPACES = ("ja", "jpn", "th", "tha", "lo", "lao", "km", "khm", "my", "mya", "bo", "bod")


class Spec(Strict):
    """BLEU: n-gram precision on words, 0 to 100."""

    kind: Literal["bleu"]
    tokenize: Literal["auto", "13a", "intl", "zh", "char", "ja-mecab", "ko-mecab", "none"] = "auto"
    """How sacrebleu splits text into words. auto: `zh` for Chinese, `char` for languages without
    spaces, else `13a`.
    """
    lowercase: bool = False
    """Ignore case."""
    bootstrap: int = Field(1000, ge=100)
    """Resamples for the interval and the paired test."""


def title(spec: dict[str, Any]) -> str:
    """The name of the score in tables and figures."""
    return "BLEU (lower case)" if spec["lowercase"] else "BLEU"


def score(rows: scores.Rows, spec: dict[str, Any], language: str) -> scores.Score:
    """Score output rows against one reference each; language: that of the outputs, which decides
    the tokenizer.
    """
    corpus = partial(_metric, spec, language)
    return scores.score(corpus, partial(corpus, effective_order=True), rows, spec["bootstrap"])


def paired(
    rows: scores.Rows, baseline: scores.Rows, spec: dict[str, Any], language: str
) -> scores.Comparison:
    """Compare outputs with a baseline's on the same references."""
    return scores.paired(partial(_metric, spec, language), rows, baseline, spec["bootstrap"])


def _metric(spec: dict[str, Any], language: str, effective_order: bool = False) -> BLEU:
    from sacrebleu.metrics.bleu import BLEU

    tokenize = _tokenizer(language) if spec["tokenize"] == "auto" else spec["tokenize"]
    try:
        return BLEU(
            tokenize=tokenize,
            lowercase=spec["lowercase"],
            effective_order=effective_order,
            force=True,
        )
    except RuntimeError as error:  # MeCab is an extra of sacrebleu
        raise NeftError(f"metric bleu: tokenize: {tokenize}: {error}; or choose `char`") from error


def _tokenizer(language: str) -> str:
    """sacrebleu's Python interface picks none: Chinese scored with 13a, a whole sentence being one
    word, is 0 all over.
    """
    code = language.lower().replace("_", "-").split("-")[0]
    return "zh" if code in _CHINESE else "char" if code in _NO_SPACES else "13a"
