"""Summarization: a document in, a summary out, in the same language or in another."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import PositiveInt

from neft.data import templates
from neft.schema import Language, Strict

FIELDS = ("document", "summary")
OPTIONAL: frozenset[str] = frozenset()
LONG = "document"


class Spec(Strict):
    """Summarize documents of one language in another."""

    kind: Literal["summarization"]
    """Summarization."""
    source_language: Language
    """ISO 639 code of the documents' language: `en`, `fr`, `zh` …"""
    target_language: Language
    """ISO 639 code of the summaries' language; scores tokenize by it."""
    max_document_tokens: PositiveInt
    """A longer document loses its end, in training and in generation alike; how many did is
    counted.
    """
    system: str | None = None
    """System message; without it, what the model's chat template puts there."""
    prompt: Annotated[str, templates.template("document")]
    """The user's message, with {document} where the document goes."""


def language(spec: Spec) -> str:
    """The language of the outputs."""
    return spec.target_language


def source(record: dict[str, Any]) -> str:
    """The document."""
    return str(record["document"])


def messages(record: dict[str, Any], spec: Spec) -> list[dict[str, str]]:
    """The chat up to the answer: [{"role", "content"}, …]."""
    return templates.chat(spec.system, spec.prompt.format(document=record["document"]))


def target(record: dict[str, Any], spec: Spec) -> str:
    """The answer to train on."""
    return str(record["summary"])


def read(text: str, spec: Spec) -> tuple[str, bool]:
    """The whole generated text: a summary may have several lines, so nothing counts as more than
    was asked for.
    """
    return text.strip(), False


def choices(spec: Spec) -> list[str]:
    """Answers to compare by likelihood: none, the text is generated."""
    return []
