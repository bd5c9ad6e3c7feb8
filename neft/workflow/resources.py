"""What a job asks a scheduler for, memory and time: the formulas, in one place.

Reads  R/model/<model>.json    the model's size; until it exists Snakemake shows <TBD>, and asks again when the job is ready
       R/data/…/train.jsonl    how much text there is

All of it is for asking: results don't depend on it, and a job that was killed for asking too little
asks for double the next time. Read at every start of Snakemake: nothing heavy here.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from neft.errors import NeftError
from neft.workflow.costs import ModelSize, ranking_operations, training_operations

GB = 10**9
LIBRARIES = 0.7 * GB
"""Python with torch and transformers, before there is a model; with CUDA's share of the host's
memory it is `CUDA`.
"""
CUDA = 3 * GB
MARGIN = 1.25
"""What the allocators leave unused."""
STATE = 12
"""Bytes beside each trained float32 weight: its gradient and AdamW's two moments, 4 bytes each."""
TOKENS_AT_ONCE = 1024
"""Tokens that go through the model together on a CPU (`neft.training.trainer` splits what is
longer).
"""
CPU_THREAD, GPU = 3e10, 2e13
"""Floating point operations a second that can be counted on, for one CPU thread (float32) and for
one GPU (bfloat16).
"""
CPU_MEMORY, GPU_MEMORY, DISK = 1e10, 3e11, 1e8
"""Bytes a second: weights read in generation, on a CPU and on a GPU; models from a shared disk."""


def tuning_bytes(
    size: ModelSize,
    kind: str,
    trained: int,
    tokens: int,
    bfloat16: bool,
    checkpointing: bool = False,
) -> float:
    """Memory of the device that tunes `trained` parameters by a method of this kind, with so many
    tokens at once.

    All weights are float32 at first; frozen ones of linear layers then become bfloat16 if that is
    the precision. A trained weight is a float32 weight, a gradient and two moments, 16 bytes; LoRA
    and NeFT keep these beside the frozen model, other methods train the model's own weights.
    Measured on a 135M model (two CPU threads, 1,024 tokens at once): full 5.0 GB, neft 4.6, lora
    3.9, in_out 3.5, embed 3.3.
    """
    beside = kind in ("lora", "neft")
    frozen = size.parameters if beside else size.parameters - trained
    linear = min(frozen, sum(size.linear.values()))
    weights = 4 * frozen - (2 * linear if bfloat16 else 0)
    # Each matrix's input and output, and more than as much again between them (norms, activations,
    # attention, large pages).
    activations = (size.layers * size.hidden if checkpointing else 2.5 * size.edges) * 4.0 * tokens
    logits = (
        6.0 * tokens * size.embeddings / size.hidden
    )  # of the half that is answer: float32 and its gradient
    # The optimizer's moments are copied while a checkpoint is written, when there are no
    # activations.
    training = weights + (4 + STATE) * trained + max(activations + logits, 8 * trained)
    return LIBRARIES + MARGIN * max(4 * size.parameters, training)


def loading_bytes(size: ModelSize, trained: int, ranks: int = 1) -> float:
    """Memory of the host when GPUs tune: each rank's float32 model on its way, and one checkpoint
    of what is trained.
    """
    return ranks * (CUDA + MARGIN * 4 * size.parameters) + MARGIN * STATE * trained


def generation_bytes(size: ModelSize, batch: int, length: int, number: int) -> float:
    """Memory for a batch of answers: weights of `number` bytes, a whole model's delta, and the
    cache of keys and values.
    """
    cache = 2.0 * size.layers * size.hidden * number * batch * length
    logits = 4.0 * batch * size.embeddings / size.hidden
    return LIBRARIES + MARGIN * ((number + 2) * size.parameters + cache + logits)


def grown(value: float) -> Callable[[Any, int], int]:
    """A resource that doubles with every attempt."""
    return lambda wildcards, attempt: math.ceil(value) * 2 ** (attempt - 1)


class Needs:
    """Memory (MB) and time (minutes) of the rules whose model decides them: each method is a
    resource of a rule.
    """

    def __init__(self, config: Any, gpus: int, ranks: Mapping[str, int]) -> None:
        """`config`: the checked configuration; `gpus`: how many a job that computes gets, 0 or 1.

        ranks: by rule (`train_probe`, `tune_model`) the processes that train one model together,
        each on a GPU of its own. Raises NeftError if they can't share a batch evenly.
        """
        self.config = config
        self.gpus = gpus
        self.ranks = ranks
        for rule, count in ranks.items():
            if config.training.batch_size % count:
                raise NeftError(
                    f"training.batch_size: {config.training.batch_size} rows can't be shared evenly"
                    f" by the {count} cards that {rule} asks for (gpu); take a multiple of {count}"
                )

    def convert_mb(self, wildcards: Any, input: Any, attempt: int) -> int:
        """Converting a base model: what was downloaded, unpacked (a wheel's is quantised) and held
        twice.
        """
        number = {"bfloat16": 2, "float32": 4}[self.config.models[wildcards.model].dtype]
        quantised = 4 if self.config.models[wildcards.model].source.kind == "wheel" else 1
        return self._mb(LIBRARIES + MARGIN * number * quantised * _bytes(input.paths), attempt)

    def probe_mb(self, wildcards: Any, input: Any, attempt: int) -> int:
        """Full fine-tuning."""
        return self._tuning_mb(
            input, "full", _size(input).parameters, self.ranks["train_probe"], attempt
        )

    def tune_mb(self, wildcards: Any, input: Any, attempt: int) -> int:
        """Tuning by one method."""
        method = self.config.methods[wildcards.method]
        trained = _size(input).trained(method, self.config.masks)
        return self._tuning_mb(input, method.kind, trained, self.ranks["tune_model"], attempt)

    def generate_mb(self, wildcards: Any, input: Any, attempt: int) -> int:
        """Generating answers."""
        generation = self.config.generation
        length = self.config.training.max_length + generation.max_new_tokens
        number = 2 if generation.precision == "bfloat16" else 4
        needed = generation_bytes(_size(input), generation.batch_size, length, number)
        return self._mb(needed + (CUDA if self.gpus else 0), attempt)

    def rank_mb(self, wildcards: Any, input: Any, attempt: int) -> int:
        """Ranking neurons: float32 weights, a whole model's delta, a batch's activations, states
        and correlations.
        """
        size, read = _size(input), self.config.analyses.utilization
        needed = LIBRARIES + MARGIN * (6 * size.parameters + 2 * read.memory * 2**20)
        return self._mb(needed + (CUDA if self.gpus else 0), attempt)

    def rank_minutes(self, wildcards: Any, input: Any, attempt: int, threads: int) -> int:
        """Reading, and correlating every neuron with the states before it."""
        size, read = _size(input), self.config.analyses.utilization
        rows = getattr(self.config.datasets[wildcards.sample].splits, read.split)
        tokens = min(read.rows or rows, rows) * min(
            read.max_length, 100 + _bytes(input.rows) / 2 / rows
        )
        operations = sum(ranking_operations(size, read.modules, read.against, tokens))
        seconds = operations / self._speed(threads) + 4 * size.parameters / DISK
        return grown(10 + 1.5 * seconds / 60)(wildcards, attempt)

    def probe_minutes(self, wildcards: Any, input: Any, attempt: int, threads: int) -> int:
        """The probe's steps."""
        rows = self.config.probe.steps * self.config.training.batch_size
        trained = _size(input).parameters
        work = rows * self._tokens(wildcards, input)
        ranks = self.ranks["train_probe"]
        return self._minutes(_size(input), "full", trained, work, threads, ranks, attempt)

    def tune_minutes(self, wildcards: Any, input: Any, attempt: int, threads: int) -> int:
        """All epochs of the trial."""
        size, method = _size(input), self.config.methods[wildcards.method]
        trained = size.trained(method, self.config.masks)
        rows = self._epochs(wildcards) * self.config.datasets[wildcards.dataset].splits.train
        work = rows * self._tokens(wildcards, input)
        ranks = self.ranks["tune_model"]
        return self._minutes(size, method.kind, trained, work, threads, ranks, attempt)

    def generate_minutes(self, wildcards: Any, input: Any, attempt: int, threads: int) -> int:
        """Every step of a batch reads all weights, and computes for each of its rows."""
        size, generation, rows = (
            _size(input),
            self.config.generation,
            self.config.datasets[wildcards.test].splits.test,
        )
        steps = math.ceil(rows / generation.batch_size) * generation.max_new_tokens
        reading = 4 * size.parameters / (GPU_MEMORY if self.gpus else CPU_MEMORY)
        computing = 2 * size.parameters * generation.batch_size / self._speed(threads)
        seconds = steps * (0.05 + reading + computing) + 4 * size.parameters / DISK
        return grown(10 + 1.5 * seconds / 60)(wildcards, attempt)

    def _tuning_mb(self, input: Any, kind: str, trained: int, ranks: int, attempt: int) -> int:
        if self.gpus:
            return self._mb(loading_bytes(_size(input), trained, ranks), attempt)
        training = self.config.training
        batch = (training.micro_batch_size or training.batch_size) * training.max_length
        tokens = min(batch, max(TOKENS_AT_ONCE, training.max_length))
        bfloat16, again = training.precision == "bfloat16", training.gradient_checkpointing
        return self._mb(
            ranks * tuning_bytes(_size(input), kind, trained, tokens, bfloat16, again), attempt
        )

    def _minutes(
        self,
        size: ModelSize,
        kind: str,
        trained: int,
        tokens: float,
        threads: int,
        ranks: int,
        attempt: int,
    ) -> int:
        """Training on so many tokens."""
        again = self.config.training.gradient_checkpointing
        operations = training_operations(size, kind, trained, tokens, again)
        # Ranks on GPUs divide the work; on CPUs they divide the threads.
        speed = self._speed(threads) * (ranks if self.gpus else 1)
        seconds = operations / speed + ranks * 4 * size.parameters / DISK
        return grown(15 + 1.5 * seconds / 60)(None, attempt)

    def _tokens(self, wildcards: Any, input: Any) -> float:
        """Mean tokens of a training row with its prompt: at most one for two bytes of JSON, and a
        hundred for the prompt.
        """
        rows: int = self.config.datasets[wildcards.dataset].splits.train
        longest: int = self.config.training.max_length
        return min(longest, 100 + _bytes(input.train) / 2 / rows)

    def _epochs(self, wildcards: Any) -> float:
        """What the trial's name says, where the method gives epochs."""
        _, _, given = wildcards.trial.partition("-ep")
        return float(given) if given else float(self.config.training.epochs)

    def _speed(self, threads: int) -> float:
        return GPU if self.gpus else CPU_THREAD * threads

    @staticmethod
    def _mb(needed: float, attempt: int) -> int:
        return math.ceil(needed / 10**8) * 100 * int(2 ** (attempt - 1))


def _size(input: Any) -> ModelSize:
    # Opened by its own name: Snakemake takes a missing input of the job for "not known yet".
    with open(input.model_record, encoding="utf-8") as file:  # noqa: PTH123
        return ModelSize.of(json.load(file))


def _bytes(paths: str | Iterable[str]) -> int:
    """What files and folders hold."""
    found = 0
    for path in [paths] if isinstance(paths, str) else paths:
        found += os.stat(path).st_size  # noqa: PTH116
        found += sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())
    return found
