"""Mistakes in a configuration that no single key shows: names that lead nowhere, empty splits,
unfit sources, absent files.

Read at every start of Snakemake, so nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neft import errors, plugins
from neft.config.checks import analyses, figures, masks, sources, tables
from neft.results.runs import UNTUNED

if TYPE_CHECKING:
    from neft.config.model import Config, Experiment


def mistakes(config: Config) -> Iterator[str]:
    """Mistakes that no single key shows: names that lead nowhere, circles, files that aren't
    there.
    """
    groups: dict[str, dict[str, Any]] = {
        "model": config.models,
        "dataset": config.datasets,
        "method": config.methods,
        "metric": config.metrics,
    }

    def known(key: str, what: str, name: str) -> Iterator[str]:
        if name not in groups[what]:
            yield f"{key}: {errors.unknown_name(what, name, list(groups[what]))}"

    for number, experiment in enumerate(config.experiments):
        key = f"experiments.{number}"
        yield from known(f"{key}.model", "model", experiment.model)
        yield from known(f"{key}.train", "dataset", experiment.train)
        yield from (
            m for name in experiment.methods for m in known(f"{key}.methods", "method", name)
        )
        yield from (
            m for name in experiment.metrics for m in known(f"{key}.metrics", "metric", name)
        )
        yield from (m for name in experiment.test for m in known(f"{key}.test", "dataset", name))
        yield from _empty_splits(config, key, experiment)
        yield from _unfit_metrics(config, key, experiment)
        yield from _cut_too_late(config, experiment)
        yield from _only_tested(config, key, experiment)
        if config.report.baseline not in experiment.methods:
            yield (
                f"report.baseline: '{config.report.baseline}' is not among {key}.methods:"
                f" {', '.join(experiment.methods)}"
            )
    if len(set(config.seeds)) < len(config.seeds):
        yield f"seeds: every seed once, got {list(config.seeds)}"
    if UNTUNED in config.datasets:
        yield f"datasets.{UNTUNED}: this name stands for no dataset in results/; choose another"
    yield from masks.mistakes(config)
    yield from analyses.mistakes(config)
    yield from tables.mistakes(config)
    yield from figures.mistakes(config)
    yield from sources.mistakes(config)
    for name, metric in config.metrics.items():
        plugin = plugins.load("metrics", metric.kind)
        paths = plugin.local_paths(metric) if hasattr(plugin, "local_paths") else []
        yield from (
            f"metrics.{name}: no such file or folder: {path}"
            for path in paths
            if not Path(path).exists()
        )
    yield from _benchmarks(config)


def _empty_splits(config: Config, key: str, experiment: Experiment) -> Iterator[str]:
    needed = [
        (experiment.train, "train"),
        (experiment.train, "dev"),
        *((name, "test") for name in experiment.test),
    ]
    for name, split in needed:
        if name in config.datasets and getattr(config.datasets[name].splits, split) == 0:
            yield (
                f"datasets.{name}.splits.{split}: {key} uses this split, so it needs at least 1"
                " row, got 0"
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


def _benchmarks(config: Config) -> Iterator[str]:
    """What benchmarks read beside their rows must be there: examples of the same task, a sentence
    model.
    """
    for name, dataset in config.datasets.items():
        key, task = f"datasets.{name}.task", dataset.task
        examples = getattr(task, "examples", None)
        if examples is not None and examples not in config.datasets:
            yield (
                f"{key}.examples: {errors.unknown_name('dataset', examples, list(config.datasets))}"
            )
        elif examples is not None:
            other = config.datasets[examples]
            if other.task.kind != task.kind:
                yield (
                    f"{key}.examples: '{examples}' is of kind {other.task.kind}, but must be of"
                    f" kind {task.kind}"
                )
            if other.splits.test == 0:
                yield (
                    f"datasets.{examples}.splits.test: {key}.examples takes this split, so it needs"
                    " at least 1 row, got 0"
                )
        folder = getattr(task, "nltk_data", None)
        for path in plugins.load("tasks", task.kind).punkt_files(folder) if folder else []:
            if not Path(path).exists():
                yield f"{key}.nltk_data: no such file or folder: {path}"


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
