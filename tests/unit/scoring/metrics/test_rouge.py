from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

import tiny
from neft.errors import NeftError
from neft.scoring.metrics import rouge

TEXTS = {
    "en": "The committee approved the new budget on Friday",
    "fr": "Où étaient les élèves très fatigués cet été",
    "zh": "委员会星期五批准了新的预算",
    "hi": "समिति ने शुक्रवार को नए बजट को मंज़ूरी दी",
    "bs": "Odbor je u petak odobrio novi budžet čiji iznos raste",
    "mi": "I whakaaetia e te komiti te tahua hōu i te Rāmere",
    "ja": "委員会は金曜日に新しい予算を承認した",
    "th": "คณะกรรมการอนุมัติงบประมาณใหม่",
}
UNRELATED = {
    "en": "zebra",
    "fr": "çà",
    "zh": "猫狗鱼",
    "hi": "बिल्ली",
    "bs": "žaba",
    "mi": "kāo",
    "ja": "ネコ",
    "th": "ไฟ",
}


def spec(**options):
    return rouge.Spec(kind="rouge", **{"bootstrap": 100} | options)


def score(output, reference, language, **options):
    return rouge.score(tiny.output_rows([output], [reference]), spec(**options), language)


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("kind", ["rouge1", "rouge2", "rougeL"])
def test_identical_text_scores_100_and_unrelated_text_0(language, kind):
    assert score(TEXTS[language], TEXTS[language], language, type=kind).value == 100
    assert score(UNRELATED[language], TEXTS[language], language, type=kind).value == 0


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "It's GPT-4, again!", ["it", "s", "gpt", "4", "again"]),
        ("fr", "L’été, déjà", ["l", "été", "déjà"]),
        ("mi", "Kei te pēhea koe?", ["kei", "te", "pēhea", "koe"]),
        ("bs", "Čiji džep?", ["čiji", "džep"]),
        ("hi", "हिन्दी में।", ["हिन्दी", "में"]),
        ("zh", "我有2024年的GPU。", ["我", "有", "2024", "年", "的", "gpu"]),
        ("ja", "スーパーで", ["ス", "ー", "パ", "ー", "で"]),
        ("th", "น้ำใจ", ["น้ํ", "า", "ใ", "จ"]),
    ],
)
def test_words_are_those_of_the_language(language, text, expected):
    assert rouge.tokens(text, rouge._kind(spec(), language)) == expected


def test_a_letter_in_two_codes_is_the_letter_in_one():
    assert score("e\u0301te\u0301", "été", "fr").value == 100


def test_joiners_that_only_say_how_a_word_is_drawn_do_not_split_it():
    assert rouge.tokens("क्\u200dष", "unicode-words") == ["क्ष"]


def test_jieba_finds_chinese_words():
    assert rouge.tokens("我来到北京清华大学。", "jieba") == ["我", "来到", "北京", "清华大学"]
    result = score("他在北京", "我在北京", "zh", tokenizer="jieba", type="rouge1")
    assert result.value == pytest.approx(200 / 3) and "tok:jieba-0.42.1" in result.signature


# Words in common over words of output and reference, by hand.
@pytest.mark.parametrize(
    ("language", "output", "reference", "kind", "precision", "recall"),
    [
        ("en", "the cat sat", "the cat sat on the mat", "rouge1", 3 / 3, 3 / 6),
        ("en", "the cat sat", "the cat sat on the mat", "rouge2", 2 / 2, 2 / 5),
        ("en", "on the mat the cat sat", "the cat sat on the mat", "rougeL", 3 / 6, 3 / 6),
        ("fr", "le très vieil élève", "un élève très vieil", "rougeL", 2 / 4, 2 / 4),
        ("zh", "我爱北京", "我在北京住", "rouge1", 3 / 4, 3 / 5),
        ("zh", "我爱北京", "我在北京住", "rouge2", 1 / 3, 1 / 4),
        ("hi", "यह किताब नई है", "वह किताब नई नहीं है", "rougeL", 3 / 4, 3 / 5),
        ("bs", "čiji je ovo džep", "čiji je taj veliki džep", "rouge1", 3 / 4, 3 / 5),
        ("mi", "he pukapuka hōu", "he pukapuka hou tēnei", "rouge1", 2 / 3, 2 / 4),
    ],
)
def test_golden_values(language, output, reference, kind, precision, recall):
    result = score(output, reference, language, type=kind)
    f = 2 * precision * recall / (precision + recall)
    assert result.details == pytest.approx(
        {"f": 100 * f, "recall": 100 * recall, "precision": 100 * precision}
    )
    assert result.value == result.details["f"]
    assert (
        score(output, reference, language, type=kind, statistic="recall").value
        == result.details["recall"]
    )


@pytest.mark.parametrize("stems", [False, True])
def test_plain_english_scores_as_the_library_scores_it(stems):
    pairs = [
        (source, other)
        for (source, _), (other, _) in zip(tiny.pairs(), tiny.pairs()[7:], strict=False)
    ]
    pairs.append(("Committees approving budgets", "the committee approved a budget"))
    ours = rouge.score(
        tiny.output_rows(*zip(*pairs, strict=True)), spec(stem_english=stems), "en"
    ).segments
    library = RougeScorer(["rougeL"], use_stemmer=stems)
    assert ours == pytest.approx(
        [100 * library.score(ref, out)["rougeL"].fmeasure for out, ref in pairs]
    )


def test_only_english_is_stemmed():
    assert score("maisons", "maison", "fr", stem_english=True).value == 0
    assert "stem:no" in score("a", "a", "fr", stem_english=True).signature


def test_the_score_is_the_mean_of_segments_with_its_standard_error_and_signature():
    rows = tiny.output_rows(["a b", "c d", "x"], ["a b", "c e", "y"])
    result = rouge.score(rows, spec(type="rouge1"), "fr")
    assert result.segments == pytest.approx([100, 50, 0]) and result.value == pytest.approx(50)
    assert result.standard_error == pytest.approx(50 / 3**0.5)
    expected = (
        "rouge1|f|tok:unicode-words|case:lower|stem:no|rouge-score:0.1.2|mean|bs:100|seed:12345"
    )
    assert result.signature == expected


def test_jieba_on_other_languages_is_refused():
    with pytest.raises(
        NeftError, match=r"jieba finds words of Chinese only, but the outputs are in fr"
    ):
        score("a", "a", "fr", tokenizer="jieba")


def test_the_title_says_which_rouge_and_which_number():
    assert (
        rouge.title(spec()) == "ROUGE-L"
        and rouge.title(spec(type="rouge2", statistic="recall")) == "ROUGE-2 recall"
    )


@settings(max_examples=50, deadline=None)
@given(
    st.text(alphabet=st.characters(categories=["L", "N", "Zs"]), min_size=1, max_size=20),
    st.sampled_from(sorted(TEXTS)),
)
def test_any_text_with_words_is_the_same_as_itself(text, language):
    expected = 100 if rouge.tokens(text, rouge._kind(spec(), language)) else 0
    assert score(text, text, language, type="rouge1").value == pytest.approx(expected)
