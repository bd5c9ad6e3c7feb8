"""lm-eval's tasks on this engine: lm-eval makes the prompts, scores and aggregates; the model,
batches and resuming are ours.

Used are `ConfigurableTask` and `evaluate`, on rows in memory. Not `simple_evaluate` and its `hf`
model: they would load the model a second way (without deltas), look tasks and data up by name,
cache data outside the results and start over after a kill.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = (
    "1"  # read when lm-eval imports the libraries
)

from datasets import Dataset
from lm_eval.api import task as api
from lm_eval.api.model import LM
from lm_eval.evaluator import evaluate
from tqdm import tqdm

from neft.data import encode
from neft.errors import NeftError
from neft.generation import decoding
from neft.generation.decoding import Answer
from neft.generation.likelihood import log_likelihoods

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH_TOKENS = 16_384
"""Most tokens of a batch's prompts where likelihoods are compared: with five examples some prompts
have 3,000, and keys and values take 46 kB a token in a 135M model in float32, 0.5 MB in one of 7B
in bfloat16.
"""
Rows = Sequence[Mapping[str, Any]]
Config = dict[str, Any]
"""A task as lm-eval's YAML files describe it, with functions in place of templates, and without
data.
"""


class Engine(LM):  # type: ignore[misc]
    """A loaded model (and what tuning changed in it) as lm-eval wants to see it."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        chat: bool,
        batch_size: int,
        parts: Path,
        identity: dict[str, Any],
    ) -> None:
        """chat: prompts are written by the chat template. batch_size, parts, identity: as for
        `generate.in_batches`.
        """
        super().__init__()
        self.model, self.tokenizer, self.chat = model, tokenizer, chat
        self.batch_size, self.parts, self.identity = batch_size, parts, identity
        self.answers: dict[tuple[str, int], Answer] = {}
        """What was generated, by task and number of the row."""
        self.seconds = 0.0
        self.cut = 0
        """Prompts that were longer than the model's context and lost their beginning."""

    @property
    def tokenizer_name(self) -> str:
        """For lm-eval's cache of requests, which is not used."""
        return str(self.tokenizer.name_or_path)

    def apply_chat_template(
        self, chat_history: encode.Messages, add_generation_prompt: bool = True
    ) -> str:
        """The prompt, as in every other stage."""
        return encode.prompt(self.tokenizer, chat_history)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Greedy answers, up to an end token or the number of tokens that the task allows."""
        limits = {request.args[1]["max_gen_toks"] for request in requests}
        if len(limits) > 1 or any(request.args[1]["until"] for request in requests):
            raise NeftError(
                "lm-eval: answers end with an end token and have one limit here; leave the task's"
                " `until` empty"
            )
        answers, self.seconds = decoding.generate(
            self.model,
            [self._cut(self._encode(request.args[0])) for request in requests],
            encode.stop_tokens(self.model, self.tokenizer),
            limit=limits.pop(),
            batch_size=self.batch_size,
            parts=self.parts,
            identity=self.identity,
        )
        self.answers = {
            (r.task_name, r.doc_id): answer for r, answer in zip(requests, answers, strict=True)
        }
        return [
            str(self.tokenizer.decode(answer.tokens, skip_special_tokens=True))
            for answer in answers
        ]

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """ln P(continuation | context) of each request; whether it is the greedy answer is asked
        for by no task here: False.

        A task at a time: its prompts begin with the same examples, which a batch then reads once.
        """
        found = []
        for name, of_task in groupby(requests, key=lambda request: request.task_name):
            prompts, answers = [], []
            for _, choices in groupby(of_task, key=lambda request: request.doc_id):
                pairs = [self._encode_pair(*request.args) for request in choices]
                prompts.append(self._cut(pairs[0][0], max(len(after) for _, after in pairs)))
                answers.append([after for _, after in pairs])
            scores, seconds = decoding.in_batches(
                partial(_compare, self.model, prompts, answers),
                prompts,
                batch_size=max(1, min(self.batch_size, BATCH_TOKENS // max(map(len, prompts)))),
                parts=self.parts,
                identity={**self.identity, "task": name},
            )
            self.seconds += seconds
            found += [(score, False) for row in scores for score in row]
        return found

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Perplexity of texts: no task here asks for it."""
        raise NotImplementedError

    def _encode(self, text: str) -> list[int]:
        """Text as tokens. Plain text begins as the tokenizer has it (Llama: <s>), a chat as its
        template has it.
        """
        return list(self.tokenizer(text, add_special_tokens=not self.chat)["input_ids"])

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Context and continuation as tokens, encoded together as in a text, and on its own where
        they merge at the border.
        """
        before, whole = self._encode(context), self._encode(context + continuation)
        if whole[: len(before)] == before:
            return before, whole[len(before) :]
        return before, list(self.tokenizer(continuation, add_special_tokens=False)["input_ids"])

    def _cut(self, prompt: list[int], after: int = 1) -> list[int]:
        """Leave off the beginning of a prompt that, with the tokens after it, doesn't fit into the
        model's context.
        """
        # The last token is predicted, not read.
        room = (
            getattr(self.model.config, "max_position_embeddings", len(prompt) + after) - after + 1
        )
        self.cut += len(prompt) > room
        return prompt[-room:]


def _compare(
    model: PreTrainedModel,
    prompts: list[list[int]],
    answers: list[list[list[int]]],
    batch: list[int],
) -> list[list[float]]:
    return log_likelihoods(
        model, [prompts[number] for number in batch], [answers[number] for number in batch]
    )


def run(
    tasks: Mapping[str, tuple[Config, Rows]], engine: Engine, system: str | None = None
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, dict[str, Any]]]:
    """Let a model take lm-eval tasks; tasks: configuration and rows by name, system: a system
    message.

    Returns for each task its samples, in the order of the rows ({"doc": the row, "filtered_resps",
    and each metric's value}), and lm-eval's own aggregates.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    api.tqdm = partial(tqdm, disable=True)  # a bar for each task that takes no time
    made = {
        name: api.ConfigurableTask(config=_with_data(name, config, rows))
        for name, (config, rows) in tasks.items()
    }
    found = evaluate(
        engine,
        {"tasks": made},
        bootstrap_iters=0,
        apply_chat_template=engine.chat,
        system_instruction=system,
        log_samples=True,
    )
    samples = {
        name: sorted(found["samples"][name], key=lambda sample: sample["doc_id"]) for name in tasks
    }
    numbers = {
        name: {key: v for key, v in found["results"][name].items() if not isinstance(v, str)}
        for name in tasks
    }
    return samples, numbers


def _with_data(name: str, config: Config, rows: Rows) -> Config:
    data = Dataset.from_list([dict(row) for row in rows])
    serve: Callable[..., dict[str, Dataset]] = lambda **_: {"test": data}  # noqa: E731
    return {**config, "task": name, "custom_dataset": serve, "test_split": "test"}
