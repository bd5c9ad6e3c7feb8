"""Translation: one sentence in, one line out."""

from __future__ import annotations

import string
from typing import Annotated, Any, Literal

from pydantic import StringConstraints, field_validator

from neft.schema import Strict

FIELDS = ("source", "target")
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]


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
    prompt: str
    """The user's message, with {source} where the sentence goes."""

    @field_validator("prompt")
    @classmethod
    def _has_source(cls, value: str) -> str:
        try:
            places = [place for place in string.Formatter().parse(value) if place[1] is not None]
        except ValueError as error:
            raise ValueError(f"not a template ({error}); write {{{{ and }}}} for braces") from error
        if not places:
            raise ValueError("needs {source} where the sentence goes")
        for _, name, form, conversion in places:
            if name != "source" or form or conversion:
                shown = f"{name}{'!' + conversion if conversion else ''}{':' + form if form else ''}"
                raise ValueError(f"unknown placeholder {{{shown}}}; allowed: {{source}} ({{{{ and }}}} for braces)")
        return value


def messages(record: dict[str, Any], spec: dict[str, Any]) -> list[dict[str, str]]:
    """The chat up to the answer: [{"role", "content"}, …]."""
    system = [{"role": "system", "content": spec["system"]}] if spec.get("system") else []
    return [*system, {"role": "user", "content": spec["prompt"].format(source=record["source"])}]


def target(record: dict[str, Any], spec: dict[str, Any]) -> str:
    """The answer to train on."""
    return str(record["target"])


def read(text: str, spec: dict[str, Any]) -> tuple[str, bool]:
    """The translation in a generated text: its first line that isn't empty; and whether there were more."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else ""), len(lines) > 1
