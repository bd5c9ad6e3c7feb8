"""BLEU by sacrebleu (Papineni et al. 2002; Post 2018)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from neft.errors import NeftError
from neft.scoring.languages import CHINESE, NO_SPACES, code
from neft.scoring.rows import Rows
from neft.scoring.score import Resampled, Score, by_sacrebleu, sacrebleu_statistics

if TYPE_CHECKING:
    import numpy as np
    from sacrebleu.metrics.bleu import BLEU

FITS = frozenset({"chat", "instruction", "summarization", "translation"})

_MECAB = {"ja": "ja-mecab", "jpn": "ja-mecab", "ko": "ko-mecab", "kor": "ko-mecab"}
"""sacrebleu's own choice for these, which needs more to be installed."""


class Spec(Resampled):
    """BLEU: n-gram precision on words, 0 to 100."""

    kind: Literal["bleu"]
    tokenize: Literal["auto", "13a", "intl", "zh", "char", "ja-mecab", "ko-mecab", "none"] = "auto"
    """How sacrebleu splits text into words. auto: `zh` for Chinese, `char` for languages without
    spaces, else `13a`; scores of Japanese and Korean then say that sacrebleu's own choice is another.
    """
    lowercase: bool = False
    """Ignore case."""


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
    return "BLEU (lower case)" if spec.lowercase else "BLEU"


def score(rows: Rows, spec: Spec, language: str) -> Score:
    """Score output rows against one reference each; language: that of the outputs, which decides
    the tokenizer.
    """
    segment = _metric(spec, language, effective_order=True)
    found = by_sacrebleu(_metric(spec, language), segment, rows, spec, highest=100.0)
    usual = _MECAB.get(code(language))
    if usual and spec.tokenize == "auto":
        note = (
            f"BLEU of {language} by {_tokenizer(language)} tokens; published values mostly use"
            f" {usual} (option `tokenize`, with an extra of sacrebleu)"
        )
        return replace(found, notes=[*found.notes, note])
    return found


def statistics(rows: Rows, spec: Spec, language: str) -> np.ndarray:
    """Of each row, [rows, 10] float64: words of the output and of the reference, n-grams in common
    (n = 1 to 4) and n-grams of the output.
    """
    return sacrebleu_statistics(_metric(spec, language), rows)


def value(sums: np.ndarray, spec: Spec) -> np.ndarray:
    """BLEU of sums [..., 10] over rows, 0 to 100: sacrebleu's, with its smoothing `exp` (an n-gram
    order without a match counts as half a match, the next one as a quarter, …).
    """
    import numpy as np

    words, reference, same, every = sums[..., 0], sums[..., 1], sums[..., 2:6], sums[..., 6:]
    none = same == 0
    # Where an order has no n-grams, or nothing matches at all, the score is 0 whatever is here.
    undefined = (every == 0).any(axis=-1) | none.all(axis=-1)
    smooth = 0.5 ** none.cumsum(axis=-1)
    precision = np.where(none, smooth, same) / np.where(every == 0, 1, every)
    brevity = np.exp(np.minimum(0, 1 - reference / np.maximum(words, 1)))
    geometric = np.exp(np.log(precision).mean(axis=-1))
    return np.where(undefined, 0.0, 100 * brevity * geometric)


def signature(rows: Rows, spec: Spec, language: str) -> str:
    """What was counted and how, as sacrebleu says it."""
    metric = _metric(spec, language)
    sacrebleu_statistics(metric, rows[:1])
    return str(metric.get_signature())


def _metric(spec: Spec, language: str, effective_order: bool = False) -> BLEU:
    from sacrebleu.metrics.bleu import BLEU

    tokenize = _tokenizer(language) if spec.tokenize == "auto" else spec.tokenize
    try:
        return BLEU(
            tokenize=tokenize,
            lowercase=spec.lowercase,
            effective_order=effective_order,
            force=True,
        )
    except RuntimeError as error:  # MeCab is an extra of sacrebleu
        raise NeftError(f"metric bleu: tokenize: {tokenize}: {error}; or choose `char`") from error


def _tokenizer(language: str) -> str:
    """sacrebleu's Python interface picks none: Chinese scored with 13a, a whole sentence being one
    word, is 0 all over.
    """
    own = code(language)
    return "zh" if own in CHINESE else "char" if own in NO_SPACES else "13a"
