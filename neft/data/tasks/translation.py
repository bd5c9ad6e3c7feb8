"""Translation: one sentence in, one line out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from neft.data import templates
from neft.schema import Language, Strict

FIELDS = ("source", "target")
OPTIONAL: frozenset[str] = frozenset()
LONG = None


class Spec(Strict):
    """Translate single sentences from one language into another."""

    kind: Literal["translation"]
    """Translation."""
    source_language: Language
    """ISO 639 code of the language to translate from: `en`, `fr`, `zh` …"""
    target_language: Language
    """ISO 639 code of the language to translate into; scores tokenize by it."""
    system: str | None = None
    """System message; without it, what the model's chat template puts there."""
    prompt: Annotated[str, templates.template("source")]
    """The user's message, with {source} where the sentence goes."""


def language(spec: Spec) -> str:
    """The language of the outputs."""
    return spec.target_language


def source(record: dict[str, Any]) -> str:
    """What the model translates."""
    return str(record["source"])


def messages(record: dict[str, Any], spec: Spec) -> list[dict[str, str]]:
    """The chat up to the answer: [{"role", "content"}, …]."""
    return templates.chat(spec.system, spec.prompt.format(source=record["source"]))


def target(record: dict[str, Any], spec: Spec) -> str:
    """The answer to train on."""
    return str(record["target"])


def read(text: str, spec: Spec) -> tuple[str, bool]:
    """The translation in a generated text: its first line that isn't empty; and whether there were
    more.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else ""), len(lines) > 1


def choices(spec: Spec) -> list[str]:
    """Answers to compare by likelihood: none, the text is generated."""
    return []
