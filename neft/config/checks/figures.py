"""Mistakes in the `figures` block of a configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from neft import errors
from neft.config.figure_uses import scored, tests
from neft.config.figures import Budgets, Losses

if TYPE_CHECKING:
    from neft.config.model import Config


def mistakes(config: Config) -> Iterator[str]:
    """Names that lead nowhere, and what no experiment tunes or scores: a figure draws results, it
    asks for none.
    """
    for name, figure in config.figures.items():
        key = f"figures.{name}"
        trained = figure.train if isinstance(figure, Budgets) else (figure.train,)
        unknown = [*_unknown_names(config, key, figure, trained)]
        yield from unknown
        for train in trained if not unknown else ():
            yield from _untuned(config, key, figure, train)
            if isinstance(figure, Budgets):
                yield from _unscored(config, key, figure, train)


def _unknown_names(
    config: Config, key: str, figure: Budgets | Losses, trained: tuple[str, ...]
) -> Iterator[str]:
    named: list[tuple[str, str, tuple[str, ...], Mapping[str, Any]]] = [
        (f"{key}.model", "model", (figure.model,), config.models),
        (f"{key}.train", "dataset", trained, config.datasets),
    ]
    named += [
        (f"{key}.{place}", "method", methods, config.methods)
        for place, methods in figure.methods().items()
    ]
    if isinstance(figure, Budgets):
        named += [(f"{key}.test", "dataset", figure.test, config.datasets)]
        named += [(f"{key}.metric", "metric", (figure.metric,), config.metrics)]
    for place, what, names, known in named:
        yield from (
            f"{place}: {errors.unknown_name(what, name, list(known))}"
            for name in names
            if name not in known
        )


def _untuned(config: Config, key: str, figure: Budgets | Losses, train: str) -> Iterator[str]:
    experiments = [e for e in config.experiments if (e.model, e.train) == (figure.model, train)]
    tuned = {method for e in experiments for method in e.methods}
    for place, methods in figure.methods().items():
        for method in methods:
            if config.methods[method].kind == "base":
                yield (
                    f"{key}.{place}: '{method}' is the untuned model; name methods that train"
                    " something"
                )
            elif method not in tuned:
                yield (
                    f"{key}.{place}: no experiment tunes '{method}' on {train} with {figure.model};"
                    " name it in `experiments`"
                )


def _unscored(config: Config, key: str, figure: Budgets, train: str) -> Iterator[str]:
    shown = tests(config, figure, train)
    if not shown:
        yield (
            f"{key}.series: on no test set do experiments score all of these methods, tuned on"
            f" {train}, by {figure.metric}"
        )
    for test in shown:
        there = scored(config, figure, train, test)
        missing = [
            method
            for methods in figure.series.values()
            for method in methods
            if method not in there
        ]
        if missing:
            yield (
                f"{key}.test: no experiment scores '{missing[0]}', tuned on {train}, on {test} by"
                f" {figure.metric}; name it in `experiments`"
            )
