from __future__ import annotations

import pytest
from pydantic import ValidationError

from neft.data.tasks import summarization

SETTINGS = {
    "kind": "summarization",
    "source_language": "en",
    "target_language": "zh",
    "max_document_tokens": 400,
    "prompt": "Summarize in Chinese:\n{document}",
}
SPEC = summarization.Spec.model_validate(SETTINGS)


def test_the_document_goes_into_the_users_message():
    chat = summarization.messages(
        {"document": "A: {hi}\nB: ho"}, SPEC.model_copy(update={"system": "You summarize."})
    )
    assert chat == [
        {"role": "system", "content": "You summarize."},
        {"role": "user", "content": "Summarize in Chinese:\nA: {hi}\nB: ho"},
    ]


def test_all_lines_of_an_output_are_the_summary():
    assert summarization.read("\n第一行。\n第二行。\n", SPEC) == ("第一行。\n第二行。", False)


def test_outputs_are_in_the_target_language():
    assert summarization.language(SPEC) == "zh"
    assert summarization.target({"document": "x", "summary": "总结"}, SPEC) == "总结"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"prompt": "Summarize"}, "needs {document}: where the text of the row goes"),
        ({"max_document_tokens": 0}, "greater than 0"),
        ({"max_document_tokens": None}, "valid integer"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ValidationError) as error:
        summarization.Spec.model_validate(SETTINGS | changes)
    assert message in error.value.errors()[0]["msg"]
