from __future__ import annotations

import pytest
from pydantic import ValidationError

from neft.data.tasks import nli
from neft.errors import NeftError

WORDS = {
    "en": {"entailment": "yes", "neutral": "maybe", "contradiction": "no"},
    "fr": {"entailment": "oui", "neutral": "peut-être", "contradiction": "non"},
    "zh": {"entailment": "是", "neutral": "也许", "contradiction": "不"},
    "hi": {"entailment": "हाँ", "neutral": "शायद", "contradiction": "नहीं"},
}
ROW = {
    "id": 7,
    "premise": "He said, Mama, I'm home.",
    "hypothesis": "He said nothing.",
    "label": "contradiction",
}


def spec(language: str = "en", **changes):
    values = {
        "kind": "nli",
        "language": language,
        "labels": WORDS[language],
        "prompt": "{premise}\n{hypothesis}\nTrue?",
    }
    return nli.Spec.model_validate(values | changes)


def test_premise_and_hypothesis_go_into_the_users_message():
    text = "He said, Mama, I'm home.\nHe said nothing.\nTrue?"
    assert nli.messages(ROW, spec()) == [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    "language, word", [("en", "no"), ("fr", "non"), ("zh", "不"), ("hi", "नहीं")]
)
def test_the_answer_is_the_word_for_the_label(language, word):
    assert nli.target(ROW, spec(language)) == word


def test_a_label_without_a_word_is_named_with_its_row():
    with pytest.raises(NeftError) as error:
        nli.target(ROW | {"label": "-"}, spec())
    message = (
        "row 7 (\"He said, Mama, I'm home.\"): its label '-' is no key of task.labels: entailment,"
        " neutral, contradiction"
    )
    assert str(error.value) == message


@pytest.mark.parametrize(
    "language, text, word, more",
    [
        ("en", "no", "no", False),
        ("en", " **No** ", "no", False),
        ("en", "No.", "no", False),
        ("en", '"MAYBE"!\nBecause he did not say.', "maybe", True),
        ("en", "no, he did not", "", False),
        ("en", "now", "", False),
        ("en", "", "", False),
        ("fr", "Peut-être.", "peut-être", False),
        ("fr", "PEUT-E\u0302TRE", "peut-être", False),  # the accent as a character of its own
        ("zh", "不。", "不", False),
        ("zh", "「不」", "不", False),
        ("hi", "नहीं।", "नहीं", False),
        ("hi", "\nहाँ\n", "हाँ", False),
    ],
)
def test_an_answer_is_read_whatever_its_case_and_punctuation(language, text, word, more):
    assert nli.read(text, spec(language)) == (word, more)


def test_all_words_are_compared_unless_the_answer_is_generated():
    assert nli.choices(spec("fr")) == ["oui", "peut-être", "non"]
    assert nli.choices(spec("fr", answers="generated")) == []


def test_labels_may_be_numbers():
    numbered = spec(labels={0: "yes", 1: "maybe", 2: "no"})
    assert nli.target(ROW | {"label": "2"}, numbered) == "no"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"labels": {"a": "yes", "b": "Yes."}}, "every label needs a word of its own"),
        ({"labels": {"a": "yes", "b": " . "}}, "every label needs a word of its own"),
        ({"labels": {"a": "yes"}}, "at least 2 items"),
        ({"labels": {"a": True, "b": False}}, "put the words in quotation marks"),
        ({"prompt": "{premise}"}, "needs {hypothesis}: where the text of the row goes"),
        (
            {"prompt": "{premise} {hypothesis} {label}"},
            "unknown placeholder {label}; allowed: {premise}, {hypothesis}",
        ),
        ({"answers": "logits"}, "'likelihood' or 'generated'"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ValidationError) as error:
        spec(**changes)
    assert message in error.value.errors()[0]["msg"]
