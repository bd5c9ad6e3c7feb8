"""Following instructions, Alpaca's way: an instruction, often with a text that it is about, and an
answer of any form.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from neft.data import templates
from neft.schema import Language, Strict

FIELDS = ("instruction", "input", "output")
OPTIONAL = frozenset({"input"})
LONG = None


class Spec(Strict):
    """Follow instructions."""

    kind: Literal["instruction"]
    """Instructions in columns; chats are of the kind `chat`."""
    language: Language
    """ISO 639 code of the answers' language; scores tokenize by it."""
    system: str | None = None
    """System message; without it, what the model's chat template puts there."""
    prompt: Annotated[str, templates.template("instruction", "input")] = "{instruction}\n\n{input}"
    """The user's message for a row with an input, with {instruction} and {input} where these go."""
    prompt_without_input: Annotated[str, templates.template("instruction")] = "{instruction}"
    """The user's message for a row without one."""


def language(spec: Spec) -> str:
    """The language of the outputs."""
    return spec.language


def source(record: dict[str, Any]) -> str:
    """The instruction and, on lines of its own, the input."""
    return "\n".join(text for text in (record["instruction"], record["input"]) if text)


def messages(record: dict[str, Any], spec: Spec) -> list[dict[str, str]]:
    """The chat up to the answer: [{"role", "content"}, …]."""
    prompt = spec.prompt if record["input"] else spec.prompt_without_input
    return templates.chat(
        spec.system, prompt.format(instruction=record["instruction"], input=record["input"])
    )


def target(record: dict[str, Any], spec: Spec) -> str:
    """The answer to train on."""
    return str(record["output"])


def read(text: str, spec: Spec) -> tuple[str, bool]:
    """The whole generated text."""
    return text.strip(), False


def choices(spec: Spec) -> list[str]:
    """Answers to compare by likelihood: none, the text is generated."""
    return []
