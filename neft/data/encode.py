"""From rows to tokens: the model's own chat template, a label for every token of the answer and
none for the prompt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypedDict

import torch
from torch import Tensor

from neft.errors import NeftError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

IGNORED = -100
"""The label of a token that is not trained on."""
Messages = list[dict[str, str]]


class Example(TypedDict):
    """One row as tokens; both lists have the same length."""

    input_ids: list[int]
    labels: list[int]


def stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that end an answer: the tokenizer's end token and those the model's generation
    config names.
    """
    named = model.generation_config.eos_token_id if model.generation_config is not None else None
    ids = named if isinstance(named, list) else [named]
    stops = frozenset(i for i in [*ids, tokenizer.eos_token_id] if i is not None)
    if not stops:
        raise NeftError(
            f"{model.name_or_path}: neither tokenizer nor generation config names an end token"
            " (eos_token)"
        )
    return stops


def prompt(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> str:
    """The text that the model answers: the chat so far and the template's opening of the answer."""
    if tokenizer.chat_template is None:
        raise NeftError(
            f"{tokenizer.name_or_path}: the tokenizer has no chat template; give one in the config:"
            " models.<name>.chat_template"
        )
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def prompt_ids(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> list[int]:
    """The prompt as tokens. The template has written the special tokens, so none are added."""
    return _ids(tokenizer, prompt(tokenizer, messages))


def example(
    tokenizer: PreTrainedTokenizerBase, messages: Messages, target: str, stops: Collection[int]
) -> Example:
    """Prompt and answer as tokens, with labels for the answer and the end token that closes it.

    The tokens of the prompt are exactly those that generation will see. What a template writes
    after the end token (SmolLM2: a line break) is left off: nothing is generated after it. `stops`:
    tokens that end an answer.
    """
    start = prompt(tokenizer, messages)
    whole = str(
        tokenizer.apply_chat_template(
            [*messages, {"role": "assistant", "content": target}], tokenize=False
        )
    )
    answer = whole.removeprefix(start) if whole.startswith(start) else target
    before, together = _ids(tokenizer, start), _ids(tokenizer, start + answer)
    # A tokenizer may merge across the border, if an answer starts with a space, say; then the
    # answer is read on its own.
    after = (
        together[len(before) :] if together[: len(before)] == before else _ids(tokenizer, answer)
    )
    while after and after[-1] not in stops:
        after.pop()
    if not after:  # this template closes no answer
        after = [
            *_ids(tokenizer, answer),
            min(stops) if tokenizer.eos_token_id is None else tokenizer.eos_token_id,
        ]
    return {"input_ids": before + after, "labels": [IGNORED] * len(before) + after}


def examples(
    tokenizer: PreTrainedTokenizerBase,
    rows: Iterable[Mapping[str, Any]],
    task: ModuleType,
    spec: Any,
    stops: Collection[int],
    max_length: int,
) -> tuple[list[Example], dict[str, int]]:
    """Encode rows of a task (with its `Spec`), in their order, after `shorten`. Those of more than `max_length`
    tokens are left out.

    The counts of both come second: {"too_long", "cut"}.
    """
    rows, cut = shorten(tokenizer, rows, task, spec)
    encoded = [
        example(tokenizer, task.messages(row, spec), task.target(row, spec), stops) for row in rows
    ]
    kept = [e for e in encoded if len(e["input_ids"]) <= max_length]
    return kept, {"too_long": len(encoded) - len(kept), "cut": cut}


def choices(
    tokenizer: PreTrainedTokenizerBase,
    messages: Messages,
    answers: Sequence[str],
    stops: Collection[int],
) -> tuple[list[int], list[list[int]]]:
    """The prompt and each of several answers to it, its end token included: the very tokens that
    training has for them.
    """
    encoded = [example(tokenizer, messages, answer, stops) for answer in answers]
    start = encoded[0]["labels"].count(IGNORED)
    return encoded[0]["input_ids"][:start], [one["input_ids"][start:] for one in encoded]


def shorten(
    tokenizer: PreTrainedTokenizerBase,
    rows: Iterable[Mapping[str, Any]],
    task: ModuleType,
    spec: Any,
) -> tuple[list[Mapping[str, Any]], int]:
    """Cut the end off the task's long field where it has more tokens than the spec allows; the
    number of rows cut comes second.

    Nothing is cut in the middle of a character, nor left to end in white space.
    """
    if task.LONG is None:
        return list(rows), 0
    field, budget = task.LONG, getattr(spec, f"max_{task.LONG}_tokens")
    before = list(rows)
    after = [{**row, field: _beginning(tokenizer, row[field], budget)} for row in before]
    return list(after), sum(one != other for one, other in zip(before, after, strict=True))


def _beginning(tokenizer: PreTrainedTokenizerBase, text: str, budget: int) -> str:
    places = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    if len(places) <= budget:
        return text
    text = text[: places[budget][0]].rstrip()  # where the first token over the budget starts
    while (
        len(_ids(tokenizer, text)) > budget
    ):  # a token may have held the end of one character and the start of the next
        text = text[:-1].rstrip()
    return text


def check_room(
    lengths: Sequence[int], rows: Sequence[Mapping[str, Any]], model: PreTrainedModel, where: object
) -> None:
    """Raises NeftError if a row needs more tokens (`lengths`: prompt and answer together) than the
    model has positions.
    """
    room = getattr(model.config.get_text_config(), "max_position_embeddings", None) or float("inf")
    long = [(length, row["id"]) for length, row in zip(lengths, rows, strict=True) if length > room]
    if long:
        length, name = max(long, key=lambda pair: pair[0])
        raise NeftError(
            f"{where}: {len(long):,} of {len(rows):,} rows don't fit into the model's {room:,}"
            f" positions; the longest, row {name}, needs {length:,} for prompt and answer; drop it"
            " by `filter`, cut it, or lower generation.max_new_tokens"
        )


def pad(batch: Sequence[Example]) -> dict[str, Tensor]:
    """Pad examples on the right to the longest: `input_ids`, `labels` (int64 [batch, positions])
    and their `lengths` [batch].

    There is no attention mask: with the padding on the right and causal attention no real token
    ever sees it, and attention without a mask is faster. The id of the padding is of no consequence
    for the same reason.
    """
    lengths = [len(e["input_ids"]) for e in batch]
    width = max(lengths)
    input_ids = [e["input_ids"] + [0] * (width - n) for e, n in zip(batch, lengths, strict=True)]
    labels = [e["labels"] + [IGNORED] * (width - n) for e, n in zip(batch, lengths, strict=True)]
    return {
        "input_ids": torch.tensor(input_ids),
        "labels": torch.tensor(labels),
        "lengths": torch.tensor(lengths),
    }


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
