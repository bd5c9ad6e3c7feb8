"""The one training loop: it knows neither methods nor tasks, only a model with something to train, and examples."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler
from tqdm import tqdm
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from neft import progress, resume, runtime
from neft.encode import Example, collate
from neft.errors import NeftError
from neft.loss import completion_loss
from neft.resume import Progress, ResumableTrainer
from neft.tuning import Training

SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
POOL = 50
"""Batches that are sorted by length together: enough that little is padding, few enough that batches stay mixed."""

TOKENS_AT_ONCE = 1024 if not torch.cuda.is_available() else 2**16
"""Tokens of a micro-batch that go through the model at once; longer ones take turns, which changes memory and nothing else.

Batches of like length mean that now and then one has the longest rows only. On a CPU, where bigger is not faster, 16 rows of
140 tokens would decide that fully fine-tuning a 135M model takes 6 GB instead of 4.
"""


def fit(
    model: Any,
    train: Sequence[Example],
    dev: Sequence[Example],
    settings: Training,
    *,
    learning_rate: float,
    seed: int,
    precision: str,
    folder: Path,
    fingerprint: dict[str, Any],
    steps: int | None = None,
    stop: int | None = None,
    keep_best: bool = True,
) -> Progress:
    """Train what requires a gradient in `model` (float32) and leave the result in it; returns how it went.

    The result is the state with the lowest dev loss of those evaluated; with `keep_best` off it is the last. `steps` replaces
    `settings.epochs`; `stop` ends the run after so many of its steps, on the schedule of the whole. Data order depends on
    `seed` and the examples' lengths alone. A run that was killed goes on from its last checkpoint in `folder`, to the same bits
    on a CPU. Raises NeftError for a loss that is not finite, for no data, and for a checkpoint of another run (by
    `fingerprint`).
    """
    if not train or not dev:
        raise NeftError(
            f"nothing to train on: {len(train)} train and {len(dev)} dev rows of at most {settings.max_length} tokens"
        )
    total = steps or math.ceil(settings.epochs * math.ceil(len(train) / settings.batch_size))
    runtime.store_frozen_weights(model, precision)
    arguments = _arguments(settings, learning_rate, seed, total, folder)
    runtime.choose_attention(model, precision, arguments.device, max(len(example["input_ids"]) for example in train))
    trainer = CompletionTrainer(
        model=model,
        args=arguments,
        folder=folder,
        fingerprint=fingerprint,
        train_dataset=train,
        eval_dataset=dev,
        data_collator=collate,
        precision=precision,
        keep_best=keep_best,
        patience=settings.early_stop if keep_best else None,
    )
    trainer.remove_callback(PrinterCallback)
    last = stop or total
    with progress.bar(last, "training", "step") as bar:
        evaluations = {step for step in _evenly(total, settings.evaluations) if step < last} | {last}
        trainer.add_callback(Pace(evaluations, last, bar))
        trainer.resume()
    result = trainer.progress
    if result.dev_step != trainer.state.global_step:
        resume.restore(model, resume.path_of(folder, result.dev_step))
    model.config.use_cache = True  # the Trainer turns it off for the model's config, where it would be saved
    return result


class CompletionTrainer(ResumableTrainer):
    """Batches of like length, loss of the answers only, mixed precision, the best state by dev loss."""

    # The loss is divided by the labelled tokens of the whole batch, so that micro-batches don't change it.
    loss_is_scaled_for_ga = True

    def __init__(self, *, precision: str, keep_best: bool, patience: int | None, **options: Any) -> None:
        """`precision`: of the matrix products. `patience`: evaluations without a new best until the run stops."""
        super().__init__(**options)
        self.model_accepts_loss_kwargs = True  # count the labels of every batch, whatever the model's signature
        self.precision = precision
        self.keep_best = keep_best
        self.patience = patience

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> Any:
        """Where the Trainer computes a loss it does so in our precision."""
        return runtime.autocast(self.precision, self.args.device)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        lengths = [len(example["input_ids"]) for example in self.train_dataset]
        return LengthGrouped(lengths, self.args.train_batch_size * self.args.gradient_accumulation_steps, self.args.seed)

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """Mean loss over the answer tokens of the optimizer's batch, the part of this micro-batch."""
        loss, _ = completion_loss(model, inputs["input_ids"], inputs["labels"])
        # Processes average their gradients, but each has divided by the tokens of all.
        scaled: Tensor = loss / num_items_in_batch * self.accelerator.num_processes
        return scaled

    def get_batch_samples(self, *args: Any) -> Any:
        """The micro-batches of the next step; its clock starts here."""
        self.step_began = time.perf_counter()
        return super().get_batch_samples(*args)

    def training_step(self, model: nn.Module, inputs: dict[str, Tensor], num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward of a micro-batch, in parts where it is a long one."""
        self.progress.tokens += int(inputs["lengths"].sum())
        # With several processes the number of backward passes must be the same in all.
        parts = _parts(inputs, TOKENS_AT_ONCE) if self.accelerator.num_processes == 1 else [inputs]
        losses = [super(CompletionTrainer, self).training_step(model, part, num_items_in_batch) for part in parts]
        return torch.stack(losses).sum()

    def floating_point_ops(self, inputs: dict[str, Tensor]) -> int:
        """Nothing reads the count, which walks over all parameters in every step."""
        return 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Keep the loss of a step. Raises NeftError if it is not a number: nothing after it could be trusted."""
        if "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise NeftError(
                f"training diverged: loss {logs['loss']} at step {self.state.global_step} of {self.state.max_steps}, "
                f"learning rate {logs['learning_rate']:.3g} (peak {self.args.learning_rate:.3g}): try a lower one"
            )
        self.progress.seconds += time.perf_counter() - self.step_began
        self._record("train", logs["loss"])

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        """Mean loss over all answer tokens of the dev rows, and what follows from it: a new best, or an early stop."""
        loss = self._dev_loss()
        if not math.isfinite(loss):
            raise NeftError(
                f"training diverged: dev loss {loss} after step {self.state.global_step}: try a lower learning rate"
            )
        self._record("dev", loss)
        best = self.progress.dev_loss
        if not self.keep_best or best is None or loss < best:
            self.progress.dev_loss, self.progress.dev_step, self.progress.worse = loss, self.state.global_step, 0
        else:
            self.progress.worse += 1
            self.control.should_training_stop |= self.progress.worse == self.patience
        metrics = {"eval_loss": loss}
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    @torch.no_grad()
    def _dev_loss(self) -> float:
        self.model.eval()
        rows = sorted(self.eval_dataset, key=lambda example: len(example["input_ids"]))
        size = self.args.per_device_eval_batch_size
        batches = [rows[i : i + size] for i in range(0, len(rows), size)]
        sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        for batch in batches[self.args.process_index :: self.args.world_size]:
            tensors = {name: tensor.to(self.args.device) for name, tensor in collate(batch).items()}
            with self.compute_loss_context_manager():
                loss, count = completion_loss(self.model, tensors["input_ids"], tensors["labels"])
            sums += torch.stack([loss.double(), count.double()])
        total, number = self.accelerator.reduce(sums, "sum").tolist()
        return float(total / number)

    def _record(self, split: str, loss: float) -> None:
        step, epoch, seconds = self.state.global_step, self.state.epoch, round(self.progress.seconds, 3)
        self.progress.history.append({"split": split, "step": step, "epoch": epoch, "seconds": seconds, "loss": loss})


class Pace(TrainerCallback):
    """Says when to evaluate (and save) and when to stop, and moves the progress bar."""

    def __init__(self, evaluations: set[int], last: int, bar: tqdm[Any]) -> None:
        """`evaluations`: the steps after which the dev loss is measured; `last`: the step after which the run ends."""
        self.evaluations = evaluations
        self.last = last
        self.bar = bar

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Move the bar; ask for an evaluation and for the end if they are due."""
        self.bar.update(state.global_step - self.bar.n)
        control.should_evaluate = control.should_save = state.global_step in self.evaluations
        control.should_training_stop |= state.global_step >= self.last


class LengthGrouped(Sampler[int]):
    """Every example once an epoch, in batches of like length and in random order; the same for the same seed and epoch.

    It draws from a generator of its own, so that nothing a method draws (LoRA's start, dropout) changes the order of the data.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        """`lengths`: tokens of each example; `batch_size`: examples for one step of the optimizer."""
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch (the data loader calls it)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        # Hashed, because the generator knows 32 bits of its seed: of a sum or shift of the two, others would be the same.
        digest = hashlib.sha256(f"{self.seed} {self.epoch}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))
        shuffled = torch.randperm(len(self.lengths), generator=generator).tolist()
        size = self.batch_size
        whole = len(shuffled) // size
        pool = max(1, min(POOL, whole // 4)) * size
        batches = []
        for start in range(0, whole * size, pool):
            rows = sorted(shuffled[start : min(start + pool, whole * size)], key=self.lengths.__getitem__)
            batches += [rows[i : i + size] for i in range(0, len(rows), size)]
        for number in torch.randperm(len(batches), generator=generator).tolist():
            yield from batches[number]
        yield from shuffled[whole * size :]  # the batch that is not full comes last


def _arguments(settings: Training, learning_rate: float, seed: int, steps: int, folder: Path) -> TrainingArguments:
    """Our settings in the Trainer's words; what it would print, report or save by itself is off."""
    micro = settings.micro_batch_size or settings.batch_size
    arguments = TrainingArguments(
        output_dir=str(folder),
        seed=seed,
        max_steps=steps,
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        gradient_accumulation_steps=settings.batch_size // micro,
        learning_rate=learning_rate,
        lr_scheduler_type=SCHEDULES[settings.schedule],
        warmup_steps=math.ceil(settings.warmup_ratio * steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        activation_checkpointing=settings.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False} if settings.gradient_checkpointing else None,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        ddp_find_unused_parameters=False,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # one process, one GPU: else the Trainer would copy the model to all that it sees
    return arguments


def _parts(batch: dict[str, Tensor], tokens: int) -> list[dict[str, Tensor]]:
    """The rows of a batch in parts of at most so many tokens, padding included, or of one row; each padded for itself alone."""
    rows = max(1, tokens // batch["input_ids"].shape[1])
    parts = []
    for start in range(0, len(batch["lengths"]), rows):
        part = {name: tensor[start : start + rows] for name, tensor in batch.items()}
        width = int(part["lengths"].max())
        parts.append(part | {name: part[name][:, :width] for name in ("input_ids", "labels")})
    return parts


def _evenly(steps: int, times: int) -> set[int]:
    """The steps after which to evaluate: so many times, evenly, the last step included."""
    return {math.ceil(steps * (i + 1) / times) for i in range(times)}
