"""Figures that a user may ask for by name, and mistakes in them. Read at every start of Snakemake: nothing heavy here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from neft import plugins
from neft.schema import Name, Strict

if TYPE_CHECKING:
    from neft.config import Config

Methods = Annotated[tuple[Name, ...], Field(min_length=1)]
"""Keys of `methods`, each tuned in some experiment."""


class Budgets(Strict):
    """Scores against the number of trained parameters: a panel for each training and test set, a line for each series."""

    kind: Literal["budgets"]
    """The kind of figure."""
    model: Name
    """A key of `models`."""
    train: tuple[Name, ...] = Field(min_length=1)
    """Keys of `datasets` that the methods are tuned on: a row of panels each."""
    test: tuple[Name, ...] = ()
    """Keys of `datasets`: a panel each. Default: all on which experiments test every method of the series."""
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


def tests(config: Config, figure: Budgets, train: str) -> list[str]:
    """The test sets of one row of panels: those asked for, or all on which every method of the series is scored."""
    needed = {method for methods in figure.series.values() for method in methods}
    every = dict.fromkeys(test for e in config.experiments for test in e.test)
    return list(figure.test) or [test for test in every if needed <= _scored(config, figure, train, test)]


def _scored(config: Config, figure: Budgets, train: str, test: str) -> set[str]:
    """The methods that experiments tune on one data set and score on another by the figure's metric."""
    return {
        method
        for e in config.experiments
        if (e.model, e.train) == (figure.model, train) and test in e.test and figure.metric in e.metrics
        for method in e.methods
    }


def mistakes(config: Config) -> Iterator[str]:
    """Names that lead nowhere, and what no experiment tunes or scores: a figure draws results, it asks for none."""
    for name, figure in config.figures.items():
        key = f"figures.{name}"
        trained = figure.train if isinstance(figure, Budgets) else (figure.train,)
        unknown = [*_unknown_names(config, key, figure, trained)]
        yield from unknown
        for train in trained if not unknown else ():
            yield from _untuned(config, key, figure, train)
            if isinstance(figure, Budgets):
                yield from _unscored(config, key, figure, train)


def _unknown_names(config: Config, key: str, figure: Budgets | Losses, trained: tuple[str, ...]) -> Iterator[str]:
    named: list[tuple[str, str, tuple[str, ...], Mapping[str, Any]]] = [
        (f"{key}.model", "model", (figure.model,), config.models),
        (f"{key}.train", "dataset", trained, config.datasets),
    ]
    named += [(f"{key}.{place}", "method", methods, config.methods) for place, methods in figure.methods().items()]
    if isinstance(figure, Budgets):
        named += [(f"{key}.test", "dataset", figure.test, config.datasets)]
        named += [(f"{key}.metric", "metric", (figure.metric,), config.metrics)]
    for place, what, names, known in named:
        yield from (f"{place}: {plugins.unknown(what, name, list(known))}" for name in names if name not in known)


def _untuned(config: Config, key: str, figure: Budgets | Losses, train: str) -> Iterator[str]:
    experiments = [e for e in config.experiments if (e.model, e.train) == (figure.model, train)]
    tuned = {method for e in experiments for method in e.methods}
    for place, methods in figure.methods().items():
        for method in methods:
            if config.methods[method].kind == "base":
                yield f"{key}.{place}: '{method}' is the untuned model; name methods that train something"
            elif method not in tuned:
                yield f"{key}.{place}: no experiment tunes '{method}' on {train} with {figure.model}; name it in `experiments`"


def _unscored(config: Config, key: str, figure: Budgets, train: str) -> Iterator[str]:
    shown = tests(config, figure, train)
    if not shown:
        yield f"{key}.series: on no test set do experiments score all of these methods, tuned on {train}, by {figure.metric}"
    for test in shown:
        scored = _scored(config, figure, train, test)
        missing = [method for methods in figure.series.values() for method in methods if method not in scored]
        if missing:
            yield (
                f"{key}.test: no experiment scores '{missing[0]}', tuned on {train}, on {test} by {figure.metric}; "
                "name it in `experiments`"
            )
