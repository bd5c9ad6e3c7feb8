"""Mistakes in `experiments`: names that lead nowhere, empty splits, metrics that don't fit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from neft import errors, plugins

if TYPE_CHECKING:
    from neft.config.model import Config, Experiment


def mistakes(config: Config) -> Iterator[str]:
    """What an experiment names must exist and fit together."""
    for number, experiment in enumerate(config.experiments):
        key = f"experiments.{number}"
        yield from _unknown_names(config, key, experiment)
        yield from _empty_splits(config, key, experiment)
        yield from _unfit_metrics(config, key, experiment)
        yield from _cut_too_late(config, experiment)
        yield from _only_tested(config, key, experiment)
        if config.report.baseline not in experiment.methods:
            yield (
                f"report.baseline: '{config.report.baseline}' is not among {key}.methods:"
                f" {', '.join(experiment.methods)}"
            )


def _unknown_names(config: Config, key: str, experiment: Experiment) -> Iterator[str]:
    named: list[tuple[str, str, Sequence[str], Collection[str]]] = [
        ("model", "model", (experiment.model,), config.models),
        ("train", "dataset", (experiment.train,), config.datasets),
        ("methods", "method", experiment.methods, config.methods),
        ("metrics", "metric", experiment.metrics, config.metrics),
        ("test", "dataset", experiment.test, config.datasets),
    ]
    for field, what, names, known in named:
        for name in names:
            if name not in known:
                yield f"{key}.{field}: {errors.unknown_name(what, name, list(known))}"


def _empty_splits(config: Config, key: str, experiment: Experiment) -> Iterator[str]:
    needed = [
        (experiment.train, "train", 1),
        (experiment.train, "dev", 1),
        # What one row would say of another row, nobody knows.
        *((name, "test", 2) for name in experiment.test),
    ]
    for name, split, least in needed:
        rows = getattr(config.datasets[name].splits, split) if name in config.datasets else least
        if rows < least:
            yield (
                f"datasets.{name}.splits.{split}: {key} uses this split, so it needs at least"
                f" {least} row{'s' * (least > 1)}, got {rows}"
            )


def _unfit_metrics(config: Config, key: str, experiment: Experiment) -> Iterator[str]:
    """Every metric of an experiment must be able to score each of its test sets."""
    for test in experiment.test:
        task = config.datasets[test].task.kind if test in config.datasets else None
        kinds = plugins.available("metrics")
        fitting = [kind for kind in kinds if task in plugins.load("metrics", kind).FITS]
        for name in experiment.metrics:
            if task and name in config.metrics and config.metrics[name].kind not in fitting:
                yield (
                    f"{key}.metrics: '{name}' (kind {config.metrics[name].kind}) does not score a"
                    f" task of kind {task}, that of {test}; kinds that do:"
                    f" {', '.join(fitting)}. Test sets of other tasks go into another"
                    " experiment"
                )


def _only_tested(config: Config, key: str, experiment: Experiment) -> Iterator[str]:
    """A benchmark has nothing to train on."""
    task = (
        config.datasets[experiment.train].task.kind if experiment.train in config.datasets else None
    )
    if task and hasattr(plugins.load("tasks", task), "benchmark"):
        yield (
            f"{key}.train: '{experiment.train}' is of kind {task}, which can only be tested; name"
            " it in `test`"
        )


def _cut_too_late(config: Config, experiment: Experiment) -> Iterator[str]:
    """A text that is still longer than any row may be when it is cut is left out instead."""
    task = config.datasets[experiment.train].task if experiment.train in config.datasets else None
    long = plugins.load("tasks", task.kind).LONG if task else None
    if task and long and getattr(task, f"max_{long}_tokens") >= config.training.max_length:
        yield (
            f"datasets.{experiment.train}.task.max_{long}_tokens: must be below training.max_length"
            f" ({config.training.max_length}), which counts prompt and answer too; got"
            f" {getattr(task, f'max_{long}_tokens')}"
        )
