"""What a user may set about training. Read at every start of Snakemake, so nothing heavy is
imported here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from neft.errors import NeftError
from neft.schema import Strict

Grid = PositiveFloat | Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
"""One value, or a list of values that are tried."""
Precision = Literal["auto", "float32", "bfloat16"]


class Method(Strict):
    """What every method that trains has in common; the base of the `Spec` of a plug-in in
    `neft/training/methods/`.
    """

    kind: str
    """The plug-in's name."""
    learning_rate: Grid
    """Peak learning rate, or a list of them: then each is tried and the best on dev loss is used.
    """
    epochs: Grid | None = None
    """Passes over the training rows, or a list of them, of which each is tried with each learning
    rate. Default: as in `training`.
    """

    @property
    def rate(self) -> float:
        """The learning rate of a single run. Raises NeftError if there is a list of them."""
        if isinstance(self.learning_rate, tuple):
            raise NeftError(f"learning_rate: one run has one, not {list(self.learning_rate)}")
        return self.learning_rate


class Training(Strict):
    """The same for every method, so that methods differ in what they train and in nothing else."""

    epochs: PositiveFloat = 2
    """Passes over the training rows."""
    batch_size: PositiveInt = 16
    """Rows for one step of the optimizer; GPUs that train together (the profile's `gpu`) share them
    evenly.
    """
    micro_batch_size: PositiveInt | None = None
    """Rows in memory at once, on each GPU, a divisor of `batch_size`; gradients add up over the
    batch. Default: all of them.
    """
    max_length: PositiveInt = 512
    """Tokens of prompt and answer together; longer rows are left out and counted in `metrics.json`.
    """
    warmup_ratio: float = Field(0.05, ge=0, lt=1)
    """Share of the steps, rounded up to w whole ones, in which the learning rate rises to its peak:
    it is 1/(w + 1), 2/(w + 1), … w/(w + 1) of it in these and the peak in the next, so that the
    first step counts as well.
    """
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Course of the learning rate after the warm-up: to 0 in a line or half a cosine, or as it is.
    """
    weight_decay: NonNegativeFloat = 0.0
    """AdamW's weight decay; acts on trained weights alone."""
    clip: PositiveFloat = 1.0
    """Largest norm of the gradient of all trained weights together."""
    precision: Precision = "auto"
    """Number format of the matrix products. `auto`: bfloat16 where the hardware multiplies it
    natively (a GPU that supports it, a CPU with AMX or AVX512-BF16), else float32. Trained weights
    and the optimizer's state are float32 always.
    """
    evaluations: PositiveInt = 4
    """Times per run that the loss on the dev rows is measured, evenly spaced, the last step
    included. The best of these states is the result. A run that was killed goes on from the last of
    them.
    """
    early_stop: PositiveInt | None = None
    """Stop after so many evaluations in a row without a new best. Default: never."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""

    @model_validator(mode="after")
    def _micro_batches_fill_a_batch(self) -> Training:
        if self.micro_batch_size and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"micro_batch_size {self.micro_batch_size} does not divide batch_size"
                f" {self.batch_size}"
            )
        return self


Control = Literal["noise", "shuffled"]
"""What a probe may train on in place of a task's rows (`neft.training.controls`)."""


class Probe(Strict):
    """The short full fine-tuning that shows which neurons a task moves; everything else is taken
    from `training`.
    """

    learning_rate: PositiveFloat
    """Peak learning rate."""
    steps: PositiveInt
    """Steps of the optimizer; the state after the last one is compared with the base model."""
    keep: bool = False
    """Keep the probe's weights (a whole float32 model); normally they go as soon as the neurons are
    compared.
    """
