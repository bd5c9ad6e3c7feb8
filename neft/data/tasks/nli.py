"""Natural language inference: does the premise entail the hypothesis, contradict it, or neither?"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from neft.data import templates
from neft.errors import NeftError
from neft.schema import Language, Strict

FIELDS = ("premise", "hypothesis", "label")
OPTIONAL: frozenset[str] = frozenset()
LONG = None


def _labels_are_text(labels: Any) -> Any:
    """Published data often number their labels, and YAML reads 0 as a number."""
    if not isinstance(labels, dict):
        return labels
    if any(isinstance(word, bool) for word in labels.values()):
        raise ValueError(
            "put the words in quotation marks, since YAML reads a bare yes or no as true or false"
        )
    return {str(label): word for label, word in labels.items()}


class Spec(Strict):
    """Tell how a hypothesis stands to a premise, by one word for each label."""

    kind: Literal["nli"]
    """Natural language inference."""
    language: Language
    """ISO 639 code of the language of premise and hypothesis: `en`, `fr`, `zh` …"""
    labels: Annotated[dict[str, str], BeforeValidator(_labels_are_text)] = Field(min_length=2)
    """The word that the model answers for every label in the data: `{entailment: "yes", neutral:
    "maybe", contradiction: "no"}`, in quotation marks, since YAML reads a bare yes as true.
    """
    answers: Literal["likelihood", "generated"] = "likelihood"
    """How an answer is found. likelihood: the word that the model holds for most likely, its end
    token included. generated: by what it writes; what is none of the words counts as wrong.
    """
    system: str | None = None
    """System message; without it, what the model's chat template puts there."""
    prompt: Annotated[str, templates.template("premise", "hypothesis")]
    """The user's message, with {premise} and {hypothesis} where these go."""

    @field_validator("labels")
    @classmethod
    def _can_be_told_apart(cls, labels: dict[str, str]) -> dict[str, str]:
        read = [_plain(word) for word in labels.values()]
        if len(set(read)) < len(read) or not all(read):
            raise ValueError(
                "every label needs a word of its own, different in more than case and punctuation"
            )
        return {label: word.strip() for label, word in labels.items()}


def language(spec: Spec) -> str:
    """The language of premise and hypothesis (the words that answer may be in another)."""
    return spec.language


def source(record: dict[str, Any]) -> str:
    """Premise and hypothesis, a line each."""
    return f"{record['premise']}\n{record['hypothesis']}"


def messages(record: dict[str, Any], spec: Spec) -> list[dict[str, str]]:
    """The chat up to the answer: [{"role", "content"}, …]."""
    return templates.chat(
        spec.system, spec.prompt.format(premise=record["premise"], hypothesis=record["hypothesis"])
    )


def target(record: dict[str, Any], spec: Spec) -> str:
    """The word for the row's label. Raises NeftError, naming the row, if there is none."""
    word = spec.labels.get(record["label"])
    if word is None:
        raise NeftError(
            f"row {record['id']} ({record['premise'][:40]!r}): its label {record['label']!r} is no"
            f" key of task.labels: {', '.join(spec.labels)}"
        )
    return word


def read(text: str, spec: Spec) -> tuple[str, bool]:
    """The word that the first line is, whatever its case and the punctuation around it, or "" if it
    is none; and whether there were more lines.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    first = _plain(lines[0]) if lines else ""
    return (
        next((word for word in spec.labels.values() if _plain(word) == first), ""),
        len(lines) > 1,
    )


def choices(spec: Spec) -> list[str]:
    """The words of all labels, or none if the answer is generated."""
    return list(spec.labels.values()) if spec.answers == "likelihood" else []


def _plain(text: str) -> str:
    """A text without case and without spaces, punctuation and symbols around it."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    inner = [place for place, char in enumerate(folded) if unicodedata.category(char)[0] in "LMN"]
    return folded[inner[0] : inner[-1] + 1] if inner else ""
