"""What a user may ask of the analyses of neurons. Read at every start of Snakemake, so nothing
heavy is imported here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from neft.core.neurons import Kind
from neft.schema import Name, Strict


class Utilization(Strict):
    """How the utilization of neurons is measured: the highest Pearson correlation of a neuron with
    the model's hidden states.

    The states are those of a model that reads rows of a data set, prompt and answer.
    """

    split: Literal["train", "dev", "test"] = "dev"
    """Where the rows come from."""
    rows: PositiveInt | None = None
    """How many rows are read, from the split's start. Default: all."""
    max_length: PositiveInt = 512
    """Tokens of prompt and answer together; longer rows are left out."""
    modules: tuple[Kind, ...] = Field(("up_proj", "down_proj"), min_length=1)
    """The matrices whose neurons are ranked."""
    against: Literal["before", "same-layer", "all"] = "before"
    """Which hidden states a neuron is compared with: those that its layer and all `before` it read,
    the embeddings included; what its own layer writes (`same-layer`); or `all`.
    """
    pooling: Literal["token", "mean"] = "token"
    """Compare with the state of every `token`, or with their `mean` in each row."""
    memory: PositiveInt = 1024
    """MiB for states and correlations, beside the model. More is faster, up to some point; the
    result is the same but for rounding.
    """


class ModelSide(Strict):
    """One side of a comparison of models."""

    method: Name
    """A key of `methods`; one of kind `base` is the untuned model."""
    dataset: Name | None = None
    """The data set that it was tuned on. Default: that of the analysis."""


class MaskSide(Strict):
    """One side of a comparison of masks."""

    mask: Name
    """A key of `masks`."""
    dataset: Name | None = None
    """The data set whose probe chose the neurons. Default: that of the analysis."""
    seed: PositiveInt | None = None
    """The probe's seed. Default: each of `seeds`."""


class RankPair(Strict):
    """Two models whose rankings of neurons are compared."""

    a: ModelSide
    """The first: buckets are made by its ranking."""
    b: ModelSide
    """The second: a neuron whose place is lower here than in the first was suppressed."""


class MaskPair(Strict):
    """Two masks whose neurons are compared."""

    a: MaskSide
    """The first mask."""
    b: MaskSide
    """The second mask."""
    references: tuple[Name, ...] = ()
    """Keys of `masks` that know nothing of the task, of the same size, found for the analysis' data
    set: the two have more in common than chance if they share more with each other than either does
    with any of these. Best are `norm` (the smallest) and a probe on noise.
    """


class Threshold(Strict):
    """From which rank difference on a neuron is strongly affected; give one of the two."""

    fraction: float | None = Field(None, gt=0, lt=1)
    """A share of all ranked neurons: 0.142 is the publication's 100,000 of 704,512."""
    neurons: PositiveInt | None = None
    """A number of places in the ranking."""

    @model_validator(mode="after")
    def _one(self) -> Threshold:
        if (self.fraction is None) == (self.neurons is None):
            raise ValueError("give either fraction (of all ranked neurons) or neurons (places)")
        return self


class Ranks(Strict):
    """Utilization ranks of pairs of models: mean rank difference, by percentile too, and counts of
    affected neurons.
    """

    model: Name
    """A key of `models`."""
    dataset: Name
    """A key of `datasets`: what the models were tuned on, where a pair doesn't say otherwise."""
    sample: Name | None = None
    """A key of `datasets`: whose rows the models read (see `utilization`). Default: `dataset`."""
    pairs: tuple[RankPair, ...] = Field(min_length=1)
    """What is compared, in the order of tables and figures."""
    buckets: tuple[Annotated[float, Field(gt=0, lt=100)], ...] = (
        0.03,
        3,
        10,
        20,
        30,
        40,
        50,
        60,
        70,
        80,
        90,
    )
    """Edges between buckets, ascending: percentages of the neurons, the most used first."""
    strong: Threshold = Threshold(fraction=0.142)
    """Above this rank difference a neuron is strongly affected."""

    @field_validator("buckets")
    @classmethod
    def _ascending(cls, edges: tuple[float, ...]) -> tuple[float, ...]:
        if any(low >= high for low, high in pairwise(edges)):
            raise ValueError("edges must ascend, each once")
        return edges


class Overlaps(Strict):
    """A table of how many neurons pairs of masks share, beside chance."""

    model: Name
    """A key of `models`."""
    dataset: Name
    """A key of `datasets`: whose probe chose the neurons, where a pair doesn't say otherwise."""
    pairs: tuple[MaskPair, ...] = Field(min_length=1)
    """What is compared, a row each."""


class Analyses(Strict):
    """What is studied of neurons beside the scores; nothing by default."""

    utilization: Utilization = Utilization()
    """How utilization is measured, for all of `ranks`."""
    ranks: dict[Name, Ranks] = Field({})
    """Comparisons of utilization by name: `tables/ranks_<name>`, `tables/categories_<name>` and
    figures of the same names.
    """
    overlaps: dict[Name, Overlaps] = Field({})
    """Tables of overlaps by name: `tables/overlap_<name>`."""
