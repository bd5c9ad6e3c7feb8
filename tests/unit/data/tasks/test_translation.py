from __future__ import annotations

import pytest
from pydantic import ValidationError

from neft.data.tasks import translation

SETTINGS = {
    "kind": "translation",
    "source_language": "en",
    "target_language": "fr",
    "system": None,
    "prompt": "To French:\n{source}",
}
SPEC = translation.Spec.model_validate(SETTINGS)


def test_the_sentence_goes_into_the_users_message():
    assert translation.messages({"source": "Yes"}, SPEC) == [
        {"role": "user", "content": "To French:\nYes"}
    ]


def test_a_system_message_comes_first():
    chat = translation.messages(
        {"source": "Yes"}, SPEC.model_copy(update={"system": "You translate."})
    )
    assert [message["role"] for message in chat] == ["system", "user"]
    assert chat[0]["content"] == "You translate."


def test_braces_of_the_sentence_are_text():
    assert (
        translation.messages({"source": "{source} {0} {{x}}"}, SPEC)[0]["content"]
        == "To French:\n{source} {0} {{x}}"
    )


def test_doubled_braces_of_the_template_are_braces():
    spec = translation.Spec.model_validate(SETTINGS | {"prompt": '{{"text": "{source}"}}'})
    assert translation.messages({"source": "Yes"}, spec)[0]["content"] == '{"text": "Yes"}'


def test_the_answer_is_the_target():
    assert translation.target({"source": "Yes", "target": "Oui"}, SPEC) == "Oui"


@pytest.mark.parametrize(
    "text, translated, more",
    [
        ("Oui", "Oui", False),
        (" \n Oui \n\n", "Oui", False),
        ("Oui\nNon", "Oui", True),
        ("", "", False),
        ("\n\n", "", False),
    ],
)
def test_the_first_line_with_text_is_the_translation(text, translated, more):
    assert translation.read(text, SPEC) == (translated, more)


@pytest.mark.parametrize(
    "prompt, message",
    [
        ("Translate:", "needs {source}: where the text of the row goes"),
        ("{sentence}", "unknown placeholder {sentence}; allowed: {source} ({{ and }} for braces)"),
        ("{source} {}", "unknown placeholder {}; allowed: {source} ({{ and }} for braces)"),
        ("{source!r}", "unknown placeholder {source!r}; allowed: {source} ({{ and }} for braces)"),
        (
            "{source:>9}",
            "unknown placeholder {source:>9}; allowed: {source} ({{ and }} for braces)",
        ),
        (
            "{source",
            "not a template (expected '}' before end of string); write {{ and }} for braces",
        ),
    ],
)
def test_a_template_that_cannot_work_is_refused(prompt, message):
    with pytest.raises(ValidationError) as error:
        translation.Spec.model_validate(SETTINGS | {"prompt": prompt})
    assert error.value.errors()[0]["msg"] == f"Value error, {message}"


def test_the_contract_names_what_is_shown_scored_and_generated():
    assert translation.source({"source": "Yes", "target": "Oui"}) == "Yes"
    assert translation.language(SPEC) == "fr"
    assert translation.choices(SPEC) == []


@pytest.mark.parametrize("language", ["English", "EN", "e", ""])
def test_a_language_is_an_iso_code(language):
    with pytest.raises(ValidationError, match="source_language"):
        translation.Spec.model_validate(SETTINGS | {"source_language": language})
