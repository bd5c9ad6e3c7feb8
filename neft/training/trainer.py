"""The one training loop: it knows neither methods nor tasks, only a model with something to train,
and examples.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import DataLoaderShard
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm
from transformers import (
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from neft import progress
from neft.data import batches
from neft.data.encode import Example
from neft.errors import NeftError
from neft.models import runtime
from neft.training import checkpoints, rates, sharding
from neft.training.checkpoints import Progress, ResumableTrainer
from neft.training.loss import completion_loss
from neft.training.settings import Training

TOKENS_AT_ONCE = 1024 if not torch.cuda.is_available() else 2**16
"""Tokens of a micro-batch that go through the model at once; longer ones take turns, which changes
memory and nothing else.

Batches of like length mean that now and then one has the longest rows only. On a CPU, where bigger
is not faster, 16 rows of 140 tokens would decide that fully fine-tuning a 135M model takes 6 GB
instead of 4.
"""


@dataclass(frozen=True)
class Schedule:
    """How long a run is, and which of its states is the result."""

    steps: int | None = None
    """Steps of the optimizer, in place of `Training.epochs`."""
    stop: int | None = None
    """End after so many of its steps, with the learning rates that the whole run has in them."""
    keep_best: bool = True
    """The result is the state with the lowest dev loss of those evaluated; else it is the last, and
    nothing stops early.
    """


@dataclass(frozen=True)
class Run:
    """How to train, and which run it is that a checkpoint must belong to."""

    settings: Training
    learning_rate: float
    """The peak."""
    seed: int
    """Decides the order of the rows, with their lengths, and dropout."""
    precision: str
    """Of the matrix products: "float32" or "bfloat16"."""
    folder: Path
    """Where the checkpoints of this run lie."""
    fingerprint: dict[str, Any]
    """Plain values that tell this run from others."""
    schedule: Schedule = Schedule()


def fit(model: Any, train: Sequence[Example], dev: Sequence[Example], run: Run) -> Progress:
    """Train what requires a gradient in `model` (float32) and leave the result in it; returns how
    it went.

    Data order depends on the seed and the examples' lengths alone. A run that was killed goes on
    from its last checkpoint in its folder, to the same bits on a CPU. Raises NeftError for a loss
    that is not finite, for no data, and for a checkpoint of another run (by `fingerprint`), and
    where memory runs out.

    Of several ranks (`runtime.process_count`) each calls it with the same arguments and trains on its share
    of every batch: the whole model, or its part of it (`neft.training.sharding`) where all of it is
    trained. Then the first rank alone has the result.
    """
    settings, schedule = run.settings, run.schedule
    if not train or not dev:
        raise NeftError(
            f"nothing to train on: {len(train)} train and {len(dev)} dev rows of at most"
            f" {settings.max_length} tokens"
        )
    whole = math.ceil(settings.epochs * math.ceil(len(train) / settings.batch_size))
    total = schedule.steps or whole
    runtime.store_frozen_weights(model, run.precision)
    arguments = _arguments(run, total)
    longest = max(len(example["input_ids"]) for example in train)
    runtime.choose_attention(model, run.precision, arguments.device, longest)
    trained = model
    if runtime.process_count() > 1 and all(
        parameter.requires_grad for parameter in model.parameters()
    ):
        trained = sharding.shard(model, run.precision, arguments.device)
    trainer = CompletionTrainer(
        model=trained,
        args=arguments,
        run=run,
        train_dataset=train,
        eval_dataset=dev,
        data_collator=batches.collate,
    )
    trainer.remove_callback(PrinterCallback)
    if (
        runtime.rank()
    ):  # the first draws what a single process does, the others (in dropout) something else
        torch.manual_seed(batches.seed_of(run.seed, runtime.rank()))
    last = schedule.stop or total
    with progress.bar(last, "training", "step", hidden=runtime.rank() > 0) as bar:
        evaluations = {step for step in _evenly(total, settings.evaluations) if step < last} | {
            last
        }
        trainer.add_callback(Pace(evaluations, last, bar))
        with _naming_what_to_lower(settings):
            trainer.resume()
    result = trainer.progress
    if result.dev_step != trainer.state.global_step:
        checkpoints.restore(trained, checkpoints.path_of(run.folder, result.dev_step))
        # The first rank returns to remove the checkpoints, maybe before another has read its own.
        trainer.accelerator.wait_for_everyone()
    if trained is not model:
        sharding.unshard(trained, model)
    model.config.use_cache = (
        True  # the Trainer turns it off for the model's config, where it would be saved
    )
    return result


class Diverged(NeftError):
    """A loss is no number: the learning rate is too high."""


class CompletionTrainer(ResumableTrainer):
    """Batches of like length, loss of the answers only, mixed precision, the best state by dev
    loss.
    """

    # The loss is divided by the labelled tokens of the whole batch, so that micro-batches don't
    # change it.
    loss_is_scaled_for_ga = True

    def __init__(self, *, run: Run, **options: Any) -> None:
        """`options` go to the Trainer."""
        super().__init__(folder=run.folder, fingerprint=run.fingerprint, **options)
        self.settings = run.settings
        self.model_accepts_loss_kwargs = (
            True  # count the labels of every batch, whatever the model's signature
        )
        self.precision = run.precision
        self.keep_best = run.schedule.keep_best
        self.patience = run.settings.early_stop if self.keep_best else None

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> LambdaLR:
        """The course of the learning rate (`rates`) in place of transformers', whose warm-up has a
        first step of rate 0.
        """
        share = partial(rates.share_of_peak, total=num_training_steps, settings=self.settings)
        scheduler = LambdaLR(optimizer or self.optimizer, share)
        self.lr_scheduler = scheduler
        return scheduler

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> Any:
        """Where the Trainer computes a loss it does so in our precision."""
        return runtime.autocast(self.precision, self.args.device)

    def get_train_dataloader(self) -> DataLoaderShard:
        """This rank's share of the micro-batches; the Trainer's own loader would repeat rows until
        all have equally many.
        """
        lengths = [len(example["input_ids"]) for example in self.train_dataset]
        size = self.args.train_batch_size * self.args.world_size
        sampler = batches.LengthGrouped(
            lengths, size * self.args.gradient_accumulation_steps, self.args.seed
        )
        shares = batches.Shares(sampler, size, self.args.process_index, self.args.world_size)
        options = {"collate_fn": self.data_collator, "pin_memory": self.args.dataloader_pin_memory}
        return DataLoaderShard(
            self.train_dataset, device=self.args.device, batch_sampler=shares, **options
        )

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        """Mean loss over the answer tokens of the optimizer's batch, the part of this
        micro-batch.
        """
        loss, _ = completion_loss(model, inputs["input_ids"], inputs["labels"])
        # Processes average their gradients, but each has divided by the tokens of all.
        scaled: Tensor = loss / num_items_in_batch * self.accelerator.num_processes
        return scaled

    def _defer_fsdp_gradient_reduction(self) -> Any:
        # Until the last micro-batch, the Trainer would; but then every rank would hold a gradient
        # of the whole model.
        return contextlib.nullcontext()

    def get_batch_samples(self, *args: Any) -> Any:
        """The micro-batches of the next step; its clock starts here."""
        self.step_began = time.perf_counter()
        return super().get_batch_samples(*args)

    def training_step(
        self, model: nn.Module, inputs: dict[str, Tensor], num_items_in_batch: Any = None
    ) -> Tensor:
        """Forward and backward of a rank's micro-batch, in parts where it is a long one."""
        parts = batches.parts(inputs, TOKENS_AT_ONCE)
        counts = torch.tensor([[len(parts), int(inputs["lengths"].sum())]], device=self.args.device)
        counts = self.accelerator.gather(counts).cpu()  # [ranks, 2]
        self.progress.tokens += int(counts[:, 1].sum())
        # Passes of one rank wait for the others', so that all must make equally many.
        parts += [batches.collate([])] * (int(counts[:, 0].max()) - len(parts))
        losses = []
        for number, part in enumerate(parts, start=1):
            # Gradients are added up over the ranks in the last pass.
            with (
                self.accelerator.no_sync(model) if number < len(parts) else contextlib.nullcontext()
            ):
                losses.append(super().training_step(model, part, num_items_in_batch))
        return torch.stack(losses).sum()

    def floating_point_ops(self, inputs: dict[str, Tensor]) -> int:
        """Nothing reads the count, which walks over all parameters in every step."""
        return 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Keep the loss of a step. Raises NeftError if it is not a number: nothing after it could
        be trusted.
        """
        if "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise Diverged(
                f"training diverged: loss {logs['loss']} at step {self.state.global_step} of"
                f" {self.state.max_steps}, learning rate {logs['learning_rate']:.3g} (peak"
                f" {self.args.learning_rate:.3g}): try a lower one"
            )
        self.progress.seconds += time.perf_counter() - self.step_began
        self._record("train", logs["loss"])

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        """Mean loss over all answer tokens of the dev rows, and what follows from it: a new best,
        or an early stop.
        """
        loss = self._dev_loss()
        if not math.isfinite(loss):
            raise Diverged(
                f"training diverged: dev loss {loss} after step {self.state.global_step}: try a"
                " lower learning rate"
            )
        self._record("dev", loss)
        best = self.progress.dev_loss
        if not self.keep_best or best is None or loss < best:
            self.progress.dev_loss, self.progress.dev_step, self.progress.worse = (
                loss,
                self.state.global_step,
                0,
            )
        else:
            self.progress.worse += 1
            self.control.should_training_stop |= self.progress.worse == self.patience
        metrics = {"eval_loss": loss}
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    @torch.no_grad()
    def _dev_loss(self) -> float:
        self.model.eval()
        rows = sorted(self.eval_dataset, key=lambda example: len(example["input_ids"]))
        size, ranks = self.args.per_device_eval_batch_size, self.args.world_size
        mine = [
            rows[i : i + size]
            for i in range(self.args.process_index * size, len(rows), ranks * size)
        ]
        mine += [[]] * (
            math.ceil(len(rows) / (ranks * size)) - len(mine)
        )  # all ranks go through the model equally often
        sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        for batch in mine:
            tensors = {
                name: tensor.to(self.args.device) for name, tensor in batches.collate(batch).items()
            }
            with self.compute_loss_context_manager():
                loss, count = completion_loss(self.model, tensors["input_ids"], tensors["labels"])
            sums += torch.stack([loss.double(), count.double()])
        total, number = self.accelerator.reduce(sums, "sum").tolist()
        return float(total / number)

    def _record(self, split: str, loss: float) -> None:
        step, epoch, seconds = (
            self.state.global_step,
            self.state.epoch,
            round(self.progress.seconds, 3),
        )
        self.progress.history.append(
            {"split": split, "step": step, "epoch": epoch, "seconds": seconds, "loss": loss}
        )


class Pace(TrainerCallback):
    """Says when to evaluate (and save) and when to stop, and moves the progress bar."""

    def __init__(self, evaluations: set[int], last: int, bar: tqdm[Any]) -> None:
        """`evaluations`: the steps after which the dev loss is measured; `last`: the step after
        which the run ends.
        """
        self.evaluations = evaluations
        self.last = last
        self.bar = bar

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Move the bar; ask for an evaluation and for the end if they are due."""
        self.bar.update(state.global_step - self.bar.n)
        control.should_evaluate = control.should_save = state.global_step in self.evaluations
        control.should_training_stop |= state.global_step >= self.last


def _arguments(run: Run, steps: int) -> TrainingArguments:
    """Our settings in the Trainer's words; what it would print, report or save by itself is off."""
    ranks, settings = runtime.process_count(), run.settings
    micro = batches.micro_batch(settings.batch_size, settings.micro_batch_size, ranks)
    arguments = TrainingArguments(
        output_dir=str(run.folder),
        seed=run.seed,
        max_steps=steps,
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        gradient_accumulation_steps=settings.batch_size // (micro * ranks),
        learning_rate=run.learning_rate,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        activation_checkpointing=settings.gradient_checkpointing,
        activation_checkpointing_kwargs=(
            {"use_reentrant": False} if settings.gradient_checkpointing else None
        ),
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
        ddp_broadcast_buffers=False,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = (
            1  # one process, one GPU: else the Trainer would copy the model to all that it sees
        )
    return arguments


@contextlib.contextmanager
def _naming_what_to_lower(settings: Training) -> Iterator[None]:
    """Raise NeftError, saying which setting needs less, where memory runs out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not runtime.is_out_of_memory(error):
            raise
        micro = settings.micro_batch_size or settings.batch_size
        smaller = max(
            (rows for rows in range(1, micro) if settings.batch_size % rows == 0), default=None
        )
        advice = (
            f"set training.micro_batch_size (now {micro}) to {smaller} or less; batches keep their"
            f" {settings.batch_size} rows, so the result is the same but for rounding"
            if smaller
            else (
                "training.micro_batch_size is 1 already: lower training.max_length or set"
                " training.gradient_checkpointing"
            )
        )
        raise NeftError(f"out of memory in training: {advice}") from error


def _evenly(steps: int, times: int) -> set[int]:
    """The steps after which to evaluate: so many times, evenly, the last step included."""
    return {math.ceil(steps * (i + 1) / times) for i in range(times)}
