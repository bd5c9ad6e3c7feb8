"""Training rows that say nothing of the task: what a probe moves without it.

Both keep the number of rows and of tokens that are learned, so that a training on them is as long.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from neft.data.encode import IGNORED, Example
from neft.training.settings import Control


def replaced(
    control: Control, examples: Sequence[Example], tokens: Sequence[int], seed: int
) -> list[Example]:
    """The rows of a control in place of a task's. tokens: ids that `noise` draws from."""
    generator = torch.Generator().manual_seed(seed)
    if control == "noise":
        return _noise(examples, tokens, generator)
    return _shuffled(examples, generator)


def _noise(
    examples: Sequence[Example], tokens: Sequence[int], generator: torch.Generator
) -> list[Example]:
    """Random tokens for those of prompts and answers."""
    pool, result = torch.tensor(tokens), []
    for one in examples:
        drawn = pool[torch.randint(len(pool), (len(one["input_ids"]),), generator=generator)]
        ids = drawn.tolist()
        labels = [
            token if label != IGNORED else IGNORED
            for token, label in zip(ids, one["labels"], strict=True)
        ]
        result.append(Example(input_ids=ids, labels=labels))
    return result


def _shuffled(examples: Sequence[Example], generator: torch.Generator) -> list[Example]:
    """To every prompt another row's answer: every answer is used once, none is where it was."""
    order = torch.randperm(len(examples), generator=generator).tolist()
    result = list(examples)
    for place, row in enumerate(order):
        prompt, answer = examples[row], examples[order[place - 1]]
        start, first = (one["labels"].count(IGNORED) for one in (prompt, answer))
        ids = prompt["input_ids"][:start] + answer["input_ids"][first:]
        labels = [IGNORED] * start + answer["labels"][first:]
        result[row] = Example(input_ids=ids, labels=labels)
    return result
