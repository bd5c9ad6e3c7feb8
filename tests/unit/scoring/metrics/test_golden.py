"""BLEU and chrF++ in the languages of the paper: counted by hand, and as the library's own
functions give them.
"""

from __future__ import annotations

import math

import pytest
import sacrebleu

import tiny
from neft.scoring.metrics import bleu, chrf

# language: output, reference, the library's tokenizer, n-grams in common and in all for n = 1 to 4,
# words of the reference
CASES = {
    "en": (
        "the cat sat on the mat",
        "the cat sat on the red mat",
        "13a",
        [(6, 6), (4, 5), (3, 4), (2, 3)],
        7,
    ),
    "fr": (
        "L'été était très chaud ici.",
        "L'été était très chaud hier.",
        "13a",
        [(5, 6), (3, 5), (2, 4), (1, 3)],
        6,
    ),
    "zh": ("我们今天去北京。", "我们明天去北京。", "zh", [(7, 8), (5, 7), (3, 6), (2, 5)], 8),
    "hi": (
        "मुझे यह नई किताब पसंद है",
        "मुझे यह नई किताब नापसंद है",
        "13a",
        [(5, 6), (3, 5), (2, 4), (1, 3)],
        6,
    ),
    "bs": (
        "Čovjek čita vrlo dobru knjigu ovdje",
        "Čovjek čita vrlo dobru knjigu danas",
        "13a",
        [(5, 6), (4, 5), (3, 4), (2, 3)],
        6,
    ),
    "mi": (
        "Kei te pānui te tangata i te pukapuka",
        "Kei te pānui te tangata i te nūpepa",
        "13a",
        [(7, 8), (6, 7), (5, 6), (4, 5)],
        8,
    ),
}


@pytest.mark.parametrize("language", CASES)
def test_bleu_is_what_counting_gives_and_what_the_library_gives(language):
    output, reference, tokenizer, counts, length = CASES[language]
    result = bleu.score(tiny.output_rows([output], [reference]), bleu.Spec(kind="bleu"), language)
    brevity = math.exp(min(0, 1 - length / counts[0][1]))
    assert result.value == pytest.approx(
        100 * brevity * math.prod(same / every for same, every in counts) ** 0.25
    )
    assert result.value == pytest.approx(
        sacrebleu.corpus_bleu([output], [[reference]], tokenize=tokenizer).score
    )
    assert f"tok:{tokenizer}" in result.signature


@pytest.mark.parametrize("language", CASES)
def test_chrf_is_what_the_library_gives(language):
    output, reference, *_ = CASES[language]
    result = chrf.score(tiny.output_rows([output], [reference]), chrf.Spec(kind="chrf"), language)
    assert result.value == pytest.approx(
        sacrebleu.corpus_chrf([output], [[reference]], word_order=2).score
    )
    assert 30 < result.value < 100
