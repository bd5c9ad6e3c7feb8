"""ROUGE by rouge-score (Lin 2004), with words as each language has them.

The library's own tokenizer drops every character but a-z and 0-9: Chinese or Hindi text, and every
French word with an accent.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from neft.errors import NeftError
from neft.scoring.languages import CHINESE, NO_SPACES, code
from neft.scoring.rows import Rows, texts
from neft.scoring.score import Resampled, Score, mean_score, ratio

if TYPE_CHECKING:
    import numpy as np

FITS = frozenset({"chat", "instruction", "summarization"})

# Their letters stand alone; the long-vowel mark of Katakana belongs to no script.
_ALONE = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}ー"
)
_WORD = r"[\p{L}\p{M}\p{N}]"


class Spec(Resampled):
    """ROUGE: overlap of an output with its reference in words (or characters), 0 to 100."""

    kind: Literal["rouge"]
    type: Literal["rouge1", "rouge2", "rougeL"] = "rougeL"
    """What is counted: common words, common pairs of words, or the longest common subsequence of
    the whole text (ROUGE-L, not ROUGE-Lsum, which goes line by line).
    """
    statistic: Literal["f", "recall", "precision"] = "f"
    """Which number is the score; all three are kept in the score's details."""
    tokenizer: Literal["auto", "unicode-words", "characters", "jieba"] = "auto"
    """What a word is. auto: `characters` for Chinese, Japanese, Thai and others that are written
    without spaces, else `unicode-words`. `jieba` finds the words of Chinese text.
    """
    stem_english: bool = False
    """Compare the stems of English words (Porter); text in other languages is left as it is."""


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
    name = spec.type.replace("rouge", "ROUGE-")
    return name if spec.statistic == "f" else f"{name} {spec.statistic}"


def score(rows: Rows, spec: Spec, language: str) -> Score:
    """The mean over output rows, each against one reference; language: that of the outputs, which
    decides what a word is.
    """
    found = _segments(rows, spec, language)
    details = {name: sum(values) / len(values) for name, values in found.items()}
    return mean_score(found[spec.statistic], signature(rows, spec, language), spec, details)


def statistics(rows: Rows, spec: Spec, language: str) -> np.ndarray:
    """Of each row, [rows, 2] float64: its score and 1."""
    import numpy as np

    found = np.array(_segments(rows, spec, language)[spec.statistic])
    return np.stack([found, np.ones(len(found))], axis=1)


def value(sums: np.ndarray, spec: Spec) -> np.ndarray:
    """The mean from sums [..., 2] over rows, 0 to 100."""
    return ratio(sums)


def signature(rows: Rows, spec: Spec, language: str) -> str:
    """What was counted, of which words, by which version."""
    kind = _kind(spec, language)
    tokenizer = f"jieba-{version('jieba')}" if kind == "jieba" else kind
    stems = "porter" if _stems(spec, language) else "no"
    library = version("rouge-score")
    return f"{spec.type}|{spec.statistic}|tok:{tokenizer}|case:lower|stem:{stems}|rouge-score:{library}"


def tokens(text: str, kind: str) -> list[str]:
    """Lower-case words of a text, without punctuation.

    kind: "unicode-words" (runs of letters, digits and the marks that combine with them),
    "characters" (of scripts that are written without spaces each letter with its marks, of others
    words) or "jieba" (Chinese words by its dictionary).
    """
    # The same letter may be written in one code or two; joiners inside a word only say how it is
    # drawn.
    text = unicodedata.normalize("NFKC", text).lower().replace("\u200c", "").replace("\u200d", "")
    if kind == "jieba":
        return [word for part in _jieba().lcut(text) for word in _find(rf"{_WORD}+", part)]
    pattern = (
        rf"{_WORD}+"
        if kind == "unicode-words"
        else rf"[{_ALONE}]\p{{M}}*|(?:(?![{_ALONE}]){_WORD})+"
    )
    return list(_find(pattern, text))


def _find(pattern: str, text: str) -> Iterator[str]:
    # the standard library's knows no scripts or kinds of characters; patterns are cached
    import regex

    yield from regex.findall(pattern, text)


def _jieba() -> Any:
    import jieba

    tokenizer = jieba.dt
    if not tokenizer.initialized:
        # As jieba does it, but for its cache: a file in the shared temporary folder, where anybody
        # could have written it.
        tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
        tokenizer.initialized = True
    return tokenizer


def _segments(rows: Rows, spec: Spec, language: str) -> dict[str, list[float]]:
    """F, recall and precision of each row, 0 to 100."""
    from rouge_score.rouge_scorer import RougeScorer

    outputs, references = texts(rows)
    scorer = RougeScorer(
        [spec.type], tokenizer=_Tokenizer(_kind(spec, language), _stems(spec, language))
    )
    found = [
        scorer.score(reference, output)[spec.type]
        for output, reference in zip(outputs, references, strict=True)
    ]
    parts = {"f": "fmeasure", "recall": "recall", "precision": "precision"}
    return {
        name: [100 * float(getattr(one, part)) for one in found] for name, part in parts.items()
    }


class _Tokenizer:
    """What rouge-score asks of a tokenizer."""

    def __init__(self, kind: str, stems: bool) -> None:
        from nltk.stem.porter import PorterStemmer

        self.kind, self.stemmer = kind, PorterStemmer() if stems else None

    def tokenize(self, text: str) -> list[str]:
        found = tokens(text, self.kind)
        # rouge-score, too, leaves words of up to three letters alone.
        return (
            [self.stemmer.stem(word) if len(word) > 3 else word for word in found]
            if self.stemmer
            else found
        )


def _kind(spec: Spec, language: str) -> str:
    own = code(language)
    if spec.tokenizer == "jieba" and own not in CHINESE:
        raise NeftError(
            "metric rouge: tokenizer: jieba finds words of Chinese only, but the outputs are in"
            f" {language}"
        )
    if spec.tokenizer == "auto":
        return "characters" if own in CHINESE | NO_SPACES else "unicode-words"
    return spec.tokenizer


def _stems(spec: Spec, language: str) -> bool:
    return spec.stem_english and code(language) in ("en", "eng")
