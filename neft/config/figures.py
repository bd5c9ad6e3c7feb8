"""Figures that a user may ask for by name. Read at every start of Snakemake: nothing heavy here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from neft.schema import Name, Strict

if TYPE_CHECKING:
    pass

Methods = Annotated[tuple[Name, ...], Field(min_length=1)]
"""Keys of `methods`, each tuned in some experiment."""


class Budgets(Strict):
    """Scores against the number of trained parameters: a panel for each training and test set, a
    line for each series.
    """

    kind: Literal["budgets"]
    """The kind of figure."""
    model: Name
    """A key of `models`."""
    train: tuple[Name, ...] = Field(min_length=1)
    """Keys of `datasets` that the methods are tuned on: a row of panels each."""
    test: tuple[Name, ...] = ()
    """Keys of `datasets`: a panel each. Default: all on which experiments test every method of the
    series.
    """
    metric: Name
    """A key of `metrics`."""
    series: dict[str, Methods] = Field(min_length=1)
    """Methods that a line connects, by the name that the legend gives it."""

    def methods(self) -> dict[str, tuple[str, ...]]:
        """All methods, by the key where they are named."""
        return {f"series.{name}": methods for name, methods in self.series.items()}


class Losses(Strict):
    """Loss curves of chosen methods, by step and by training time."""

    kind: Literal["losses"]
    """The kind of figure."""
    model: Name
    """A key of `models`."""
    train: Name
    """A key of `datasets` that the methods are tuned on."""
    rows: dict[str, Methods] = Field(min_length=1)
    """Methods that are drawn together, by the row's title: a row of panels each."""

    def methods(self) -> dict[str, tuple[str, ...]]:
        """All methods, by the key where they are named."""
        return {f"rows.{name}": methods for name, methods in self.rows.items()}


Figure = Annotated[Budgets | Losses, Field(discriminator="kind")]
