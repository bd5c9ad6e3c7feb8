from __future__ import annotations

import json
import subprocess
import sys

import pytest

import tiny
from neft.errors import NeftError
from neft.scoring.metrics import bleu

REFERENCES = [target for _, target in tiny.pairs()][:30]
# Every third sentence lost its last word, every fifth is another sentence.
OUTPUTS = [
    REFERENCES[0] if place % 5 == 4 else text.rsplit(" ", 1)[0] if place % 3 == 2 else text
    for place, text in enumerate(REFERENCES)
]
CHINESE = ["打开这个文件夹", "保存当前的笔记本", "关闭所有标签页"]


def spec(**options):
    return bleu.Spec(kind="bleu", **options)


def test_the_default_is_a_thousand_resamples_of_case_sensitive_words():
    options = {"tokenize": "auto", "lowercase": False}
    assert spec().model_dump() == options | {
        "kind": "bleu",
        "bootstrap": 1000,
        "trials": 10000,
        "seed": 12345,
    }


def test_score_interval_and_signature_are_those_of_the_sacrebleu_command(tmp_path):
    (tmp_path / "outputs").write_text("\n".join(OUTPUTS) + "\n", encoding="utf-8")
    (tmp_path / "references").write_text("\n".join(REFERENCES) + "\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "sacrebleu",
        str(tmp_path / "references"),
        "-i",
        str(tmp_path / "outputs"),
    ]
    options = ["-m", "bleu", "--confidence", "--confidence-n", "200", "-w", "6"]
    told = json.loads(
        subprocess.run([*command, *options], capture_output=True, text=True, check=True).stdout
    )
    ours = bleu.score(tiny.output_rows(OUTPUTS, REFERENCES), spec(bootstrap=200), "fr")
    assert ours.value == pytest.approx(told["score"], abs=1e-5)
    assert (ours.low + ours.high) / 2 == pytest.approx(told["confidence_mean"], abs=1e-5)
    assert (ours.high - ours.low) / 2 == pytest.approx(told["confidence_var"], abs=1e-5)
    assert ours.signature == told["signature"]


def test_a_hand_computed_corpus_score():
    # 4 of 5 words match, 3 of 4 pairs, 2 of 3 triples, 1 of 2 quadruples; equal lengths, so no
    # brevity penalty.
    expected = 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert bleu.score(
        tiny.output_rows(["a b c d x"], ["a b c d e"]), spec(bootstrap=100), "en"
    ).value == pytest.approx(expected)


def test_identical_texts_score_one_hundred_and_not_a_bit_more():
    result = bleu.score(tiny.output_rows(REFERENCES, REFERENCES), spec(bootstrap=100), "fr")
    assert (result.value, result.high) == (100.0, 100.0)
    assert result.low == pytest.approx(100)


def test_the_interval_holds_the_score():
    result = bleu.score(tiny.output_rows(OUTPUTS, REFERENCES), spec(bootstrap=200), "fr")
    assert 0 < result.low < result.value < result.high < 100


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [
        ("zh", "zh"),
        ("zh-CN", "zh"),
        ("zho_Hans", "zh"),
        ("ja", "char"),
        ("th", "char"),
        ("dzo_Tibt", "char"),
        ("shn", "char"),
        ("wuu", "zh"),
        ("ko", "13a"),
        ("fr", "13a"),
        ("mi", "13a"),
        ("bs_Latn", "13a"),
    ],
)
def test_the_language_picks_the_tokenizer(language, tokenizer):
    result = bleu.score(tiny.output_rows(CHINESE, CHINESE), spec(bootstrap=100), language)
    assert f"|tok:{tokenizer}" in result.signature


def test_chinese_is_scored_by_characters_not_as_one_word_a_sentence():
    almost = [text[:-1] + "了" for text in CHINESE]
    assert bleu.score(tiny.output_rows(almost, CHINESE), spec(bootstrap=100), "zh").value > 60
    assert (
        bleu.score(
            tiny.output_rows(almost, CHINESE), spec(bootstrap=100, tokenize="13a"), "zh"
        ).value
        == 0
    )


def test_a_tokenizer_in_the_config_wins_over_the_language():
    assert (
        "tok:char"
        in bleu.score(
            tiny.output_rows(["a b"], ["a b"]), spec(bootstrap=100, tokenize="char"), "zh"
        ).signature
    )


def test_lowercase_ignores_case_and_says_so():
    shouted = [text.upper() for text in REFERENCES]
    result = bleu.score(
        tiny.output_rows(shouted, REFERENCES), spec(bootstrap=100, lowercase=True), "fr"
    )
    assert result.value == 100
    assert "case:lc" in result.signature
    assert bleu.title(spec(lowercase=True)) == "BLEU (lower case)"


def test_a_tokenizer_that_is_not_installed_is_named_in_one_message():
    with pytest.raises(NeftError, match="metric bleu: tokenize: ko-mecab"):
        bleu.score(tiny.output_rows(["a"], ["a"]), spec(tokenize="ko-mecab"), "ko")


def test_segments_are_sentence_scores_smoothed_for_short_text():
    segments = bleu.score(
        tiny.output_rows(["Ouvrir le fichier", "x", ""], ["Ouvrir le fichier"] * 3),
        spec(bootstrap=100),
        "fr",
    ).segments
    assert segments == [pytest.approx(100), 0, 0]


def test_where_sacrebleus_own_choice_is_another_a_note_says_so():
    rows = tiny.output_rows(["猫 が いる"] * 2, ["猫 が いた"] * 2)
    (note,) = bleu.score(rows, spec(bootstrap=100), "ja").notes
    assert "char tokens" in note and "ja-mecab" in note
    assert bleu.score(rows, spec(bootstrap=100), "th").notes == []
    assert bleu.score(rows, spec(bootstrap=100, tokenize="char"), "ja").notes == []
