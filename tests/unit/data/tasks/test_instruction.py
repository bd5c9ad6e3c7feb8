from __future__ import annotations

import pytest
from pydantic import ValidationError

from neft.data.tasks import instruction

SETTINGS = {"kind": "instruction", "language": "en"}
SPEC = instruction.Spec.model_validate(SETTINGS)
WITH = {"instruction": "Name the capital.", "input": "France", "output": "Paris"}
WITHOUT = WITH | {"input": "", "instruction": "Name a {city}."}


def test_a_row_with_an_input_and_one_without_have_a_prompt_each():
    prompts = {
        "prompt": "{instruction} About: {input}",
        "prompt_without_input": "Do: {instruction}",
    }
    spec = instruction.Spec.model_validate(SETTINGS | prompts)
    assert instruction.messages(WITH, spec) == [
        {"role": "user", "content": "Name the capital. About: France"}
    ]
    assert instruction.messages(WITHOUT, spec) == [
        {"role": "user", "content": "Do: Name a {city}."}
    ]


def test_by_default_the_input_follows_after_an_empty_line():
    assert instruction.messages(WITH, SPEC)[0]["content"] == "Name the capital.\n\nFrance"
    assert instruction.messages(WITHOUT, SPEC)[0]["content"] == "Name a {city}."


def test_rows_are_alike_only_if_their_inputs_are():
    assert instruction.source(WITH) == "Name the capital.\nFrance"
    assert instruction.source(WITHOUT) == "Name a {city}."


def test_the_whole_output_is_the_answer():
    assert instruction.read(" 1. Mix.\n\n2. Fry.\n", SPEC) == ("1. Mix.\n\n2. Fry.", False)
    assert instruction.target(WITH, SPEC) == "Paris"


@pytest.mark.parametrize(
    "changes", [{"prompt": "{instruction}"}, {"prompt_without_input": "{instruction} {input}"}]
)
def test_a_template_must_fit_its_rows(changes):
    with pytest.raises(ValidationError, match=r"needs \{input\}|unknown placeholder \{input\}"):
        instruction.Spec.model_validate(SETTINGS | changes)
