"""MMLU (Hendrycks et al. 2021): questions with four choices in many subjects, by lm-eval, in the
original format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from neft.errors import NeftError
from neft.schema import Strict

CHOICES = ("A", "B", "C", "D")
FIELDS = ("subject", "question", *CHOICES, "answer")
OPTIONAL: frozenset[str] = frozenset()
LONG = None


class Spec(Strict):
    """MMLU: questions with four choices, answered by the most likely letter; a test set only."""

    kind: Literal["mmlu"]
    """Knowledge, through lm-eval. A subject may end in `_dev`, `_val` or `_test`, as the published
    files' names do.
    """
    shots: int = Field(5, ge=0)
    """Answered questions of the same subject before each question: the first ones of `examples`."""
    examples: str | None = None
    """A key of `datasets` (kind mmlu) whose test split holds them: MMLU's dev questions, in their
    order (`splits.shuffle: false`).
    """
    chat_template: bool = False
    """Write prompts with the model's chat template instead of plainly, which is the original
    format.
    """

    @model_validator(mode="after")
    def _shots_have_examples(self) -> Spec:
        if self.shots and self.examples is None:
            raise ValueError(
                f"`shots: {self.shots}` needs `examples`, the name of the data set to take them"
                " from"
            )
        return self


def language(spec: Spec) -> str:
    """The language of the questions."""
    return "en"


def source(record: dict[str, Any]) -> str:
    """The question with its choices, as the model reads it."""
    return "\n".join([record["question"], *(f"{choice}. {record[choice]}" for choice in CHOICES)])


def benchmark(
    rows: Sequence[dict[str, Any]], examples: Sequence[dict[str, Any]], spec: Spec
) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """lm-eval's tasks on these rows, one for each subject.

    Raises NeftError if an answer is no letter or a subject has too few examples.
    """
    subjects: dict[str, list[dict[str, Any]]] = {}
    shown: dict[str, list[dict[str, Any]]] = {}
    for groups, members in ((subjects, rows), (shown, examples)):
        for row in members:
            if row["answer"] not in CHOICES:
                raise NeftError(
                    f"mmlu: the answer to {row['question'][:60]!r} is {row['answer']!r}, not one of"
                    " A, B, C, D"
                )
            groups.setdefault(_subject(row), []).append(row)
    for subject in subjects:
        there = len(shown.get(subject, []))
        if there < spec.shots:
            raise NeftError(
                f"mmlu: {there} examples of the subject {subject} in {spec.examples}, but"
                f" `shots` is {spec.shots}"
            )
    return {
        subject: (_config(subject, shown.get(subject, [])[: spec.shots]), members)
        for subject, members in subjects.items()
    }


def chat(spec: Spec) -> bool:
    """Whether prompts go through the chat template."""
    return spec.chat_template


def outcome(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What an output row holds of a sample: the most likely letter (the first of equals), and each
    one's log-likelihood.
    """
    scores = {
        choice: value for choice, (value, _) in zip(CHOICES, sample["filtered_resps"], strict=True)
    }
    chosen = max(scores, key=lambda choice: scores[choice])
    return {
        "reference": sample["doc"]["answer"],
        "output": chosen,
        "text": chosen,
        "subject": _subject(sample["doc"]),
        "scores": scores,
    }


def _config(subject: str, examples: list[dict[str, Any]]) -> dict[str, Any]:
    """As lm-eval's own `mmlu_<subject>` (its format is the original's, but for a double space
    before the subject).
    """
    return {
        "output_type": "multiple_choice",
        "description": (
            "The following are multiple choice questions (with answers) about"
            f" {subject.replace('_', ' ')}.\n\n"
        ),
        "doc_to_text": lambda doc: f"{source(doc)}\nAnswer:",
        "doc_to_choice": list(CHOICES),
        "doc_to_target": lambda doc: CHOICES.index(doc["answer"]),
        "num_fewshot": len(examples),
        "fewshot_config": {"sampler": "first_n", "samples": examples},
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }


def _subject(row: Mapping[str, Any]) -> str:
    return re.sub(r"_(dev|val|test)$", "", row["subject"])
