"""Mistakes in a configuration that no single key shows: names that lead nowhere, empty splits,
unfit sources, absent files.

Read at every start of Snakemake, so nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from neft import errors, plugins
from neft.config.checks import analyses, experiments, figures, masks, sources, tables
from neft.results.runs import UNTUNED

if TYPE_CHECKING:
    from neft.config.model import Config


def mistakes(config: Config) -> Iterator[str]:
    """Every mistake that no single key shows."""
    for check in CHECKS:
        yield from check(config)


def _repeated_seeds(config: Config) -> Iterator[str]:
    if len(set(config.seeds)) < len(config.seeds):
        yield f"seeds: every seed once, got {list(config.seeds)}"


def _reserved_names(config: Config) -> Iterator[str]:
    if UNTUNED in config.datasets:
        yield f"datasets.{UNTUNED}: this name stands for no dataset in results/; choose another"


def _unknown_margins(config: Config) -> Iterator[str]:
    for name in config.report.margin:
        if name not in config.metrics:
            known = list(config.metrics)
            yield f"report.margin: {errors.unknown_name('metric', name, known)}"


def _absent_files_of_metrics(config: Config) -> Iterator[str]:
    for name, metric in config.metrics.items():
        plugin = plugins.load("metrics", metric.kind)
        paths = plugin.local_paths(metric) if hasattr(plugin, "local_paths") else []
        yield from (
            f"metrics.{name}: no such file or folder: {path}"
            for path in paths
            if not Path(path).exists()
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


CHECKS = (
    experiments.mistakes,
    _repeated_seeds,
    _reserved_names,
    _unknown_margins,
    masks.mistakes,
    analyses.mistakes,
    tables.mistakes,
    figures.mistakes,
    sources.mistakes,
    _absent_files_of_metrics,
    _benchmarks,
)
"""In the order in which their mistakes are told."""
