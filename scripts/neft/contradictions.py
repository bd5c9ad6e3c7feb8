"""Mistakes in a configuration that no single key shows: names that lead nowhere, empty splits, unfit sources, absent files.

Read at every start of Snakemake, so nothing heavy is imported here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neft import figure_kinds, mask_uses, plugins, table_uses
from neft.runs import UNTUNED

if TYPE_CHECKING:
    from neft.config import Config, Experiment

SKEW = 10
"""Seconds that the clocks of two machines may differ."""


def mistakes(config: Config) -> Iterator[str]:
    """Mistakes that no single key shows: names that lead nowhere, circles, files that aren't there."""
    groups: dict[str, dict[str, Any]] = {
        "model": config.models,
        "dataset": config.datasets,
        "method": config.methods,
        "metric": config.metrics,
    }

    def known(key: str, what: str, name: str) -> Iterator[str]:
        if name not in groups[what]:
            yield f"{key}: {plugins.unknown(what, name, list(groups[what]))}"

    for number, experiment in enumerate(config.experiments):
        key = f"experiments.{number}"
        yield from known(f"{key}.model", "model", experiment.model)
        yield from known(f"{key}.train", "dataset", experiment.train)
        yield from (m for name in experiment.methods for m in known(f"{key}.methods", "method", name))
        yield from (m for name in experiment.metrics for m in known(f"{key}.metrics", "metric", name))
        yield from (m for name in experiment.test for m in known(f"{key}.test", "dataset", name))
        yield from _empty_splits(config, key, experiment)
        yield from _unfit_metrics(config, key, experiment)
        yield from _cut_too_late(config, experiment)
        yield from _only_tested(config, key, experiment)
        if config.report.baseline not in experiment.methods:
            yield f"report.baseline: '{config.report.baseline}' is not among {key}.methods: {', '.join(experiment.methods)}"
    if len(set(config.seeds)) < len(config.seeds):
        yield f"seeds: every seed once, got {list(config.seeds)}"
    if UNTUNED in config.datasets:
        yield f"datasets.{UNTUNED}: this name stands for no dataset in results/; choose another"
    yield from mask_uses.mistakes(config)
    yield from _analyses(config)
    yield from table_uses.mistakes(config)
    yield from figure_kinds.mistakes(config)
    yield from _sources(config)
    for name, metric in config.metrics.items():
        plugin = plugins.load("metrics", metric.kind)
        paths = plugin.local_paths(metric.model_dump(mode="json")) if hasattr(plugin, "local_paths") else []
        yield from (f"metrics.{name}: no such file or folder: {path}" for path in paths if not Path(path).exists())
    yield from _benchmarks(config)


def _empty_splits(config: Config, key: str, experiment: Experiment) -> Iterator[str]:
    needed = [(experiment.train, "train"), (experiment.train, "dev"), *((name, "test") for name in experiment.test)]
    for name, split in needed:
        if name in config.datasets and getattr(config.datasets[name].splits, split) == 0:
            yield f"datasets.{name}.splits.{split}: {key} uses this split, so it needs at least 1 row, got 0"


def _unfit_metrics(config: Config, key: str, experiment: Experiment) -> Iterator[str]:
    """Every metric of an experiment must be able to score each of its test sets."""
    for test in experiment.test:
        task = config.datasets[test].task.kind if test in config.datasets else None
        fitting = plugins.load("tasks", task).METRICS if task else frozenset()
        for name in experiment.metrics:
            if task and name in config.metrics and config.metrics[name].kind not in fitting:
                yield (
                    f"{key}.metrics: '{name}' (kind {config.metrics[name].kind}) does not score a task of kind {task}, that of "
                    f"{test}; kinds that do: {', '.join(sorted(fitting))}. Test sets of other tasks go into another experiment"
                )


def _only_tested(config: Config, key: str, experiment: Experiment) -> Iterator[str]:
    """A benchmark has nothing to train on."""
    task = config.datasets[experiment.train].task.kind if experiment.train in config.datasets else None
    if task and hasattr(plugins.load("tasks", task), "benchmark"):
        yield f"{key}.train: '{experiment.train}' is of kind {task}, which can only be tested; name it in `test`"


def _benchmarks(config: Config) -> Iterator[str]:
    """What benchmarks read beside their rows must be there: examples of the same task, a sentence model."""
    for name, dataset in config.datasets.items():
        key, task = f"datasets.{name}.task", dataset.task
        examples = getattr(task, "examples", None)
        if examples is not None and examples not in config.datasets:
            yield f"{key}.examples: {plugins.unknown('dataset', examples, list(config.datasets))}"
        elif examples is not None:
            other = config.datasets[examples]
            if other.task.kind != task.kind:
                yield f"{key}.examples: '{examples}' is of kind {other.task.kind}, but must be of kind {task.kind}"
            if other.splits.test == 0:
                yield f"datasets.{examples}.splits.test: {key}.examples takes this split, so it needs at least 1 row, got 0"
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
            f"datasets.{experiment.train}.task.max_{long}_tokens: must be below training.max_length "
            f"({config.training.max_length}), which counts prompt and answer too; got {getattr(task, f'max_{long}_tokens')}"
        )


def _analyses(config: Config) -> Iterator[str]:
    """Every name in an analysis must exist, its splits must have rows, and the two sides of a pair must differ."""
    groups: dict[str, Any] = {"method": config.methods, "mask": config.masks}
    analyses = config.analyses
    both: list[tuple[str, dict[str, Any]]] = [("ranks", dict(analyses.ranks)), ("overlaps", dict(analyses.overlaps))]
    for group, blocks in both:
        # What a mask needs of its data set follows from its selector (neft.mask_uses).
        what, splits = ("method", ("train", "dev")) if group == "ranks" else ("mask", ())
        for name, block in blocks.items():
            key = f"analyses.{group}.{name}"
            if block.model not in config.models:
                yield f"{key}.model: {plugins.unknown('model', block.model, list(config.models))}"
            yield from _rows(config, f"{key}.dataset", block.dataset, dict.fromkeys(splits, 1))
            for number, pair in enumerate(block.pairs):
                place = f"{key}.pairs.{number}"
                if pair.a == pair.b:
                    yield f"{place}: a and b are the same {what}"
                for letter, side in (("a", pair.a), ("b", pair.b)):
                    named = getattr(side, what)
                    if named not in groups[what]:
                        yield f"{place}.{letter}.{what}: {plugins.unknown(what, named, list(groups[what]))}"
                    if side.dataset:
                        yield from _rows(config, f"{place}.{letter}.dataset", side.dataset, dict.fromkeys(splits, 1))
    for name, ranks in analyses.ranks.items():
        # A data set that isn't there was named already, unless it is named here alone.
        if ranks.sample or ranks.dataset in config.datasets:
            key = f"analyses.ranks.{name}.{'sample' if ranks.sample else 'dataset'}"
            read = analyses.utilization
            yield from _rows(config, key, ranks.sample or ranks.dataset, {read.split: read.rows or 1})


def _rows(config: Config, key: str, name: str, rows: dict[str, int]) -> Iterator[str]:
    """A data set that must be there, be no benchmark, and have so many rows in these splits."""
    if name not in config.datasets:
        yield f"{key}: {plugins.unknown('dataset', name, list(config.datasets))}"
        return
    dataset = config.datasets[name]
    if hasattr(plugins.load("tasks", dataset.task.kind), "benchmark"):
        yield f"{key}: '{name}' is of kind {dataset.task.kind}, which can only be tested"
        return
    for split, needed in rows.items():
        found = getattr(dataset.splits, split)
        if found < needed:
            many = "1 row" if needed == 1 else f"{needed} rows"
            yield f"datasets.{name}.splits.{split}: {key} needs at least {many}, got {found}"


def _sources(config: Config) -> Iterator[str]:
    """A source must offer what its block is for, name only columns that the task has, and lie where it says."""
    leaves: list[tuple[str, str, Any, tuple[str, ...]]] = []
    for name, model in config.models.items():
        key, plugin = f"models.{name}.source", plugins.load("sources", model.source.kind)
        if hasattr(plugin, "PARTS"):
            yield f"{key}: this is a source for a dataset, but a model is needed"
        else:
            leaves.append((key, "model", model.source, ()))
    for name, dataset in config.datasets.items():
        key, source, fields = f"datasets.{name}.source", dataset.source, plugins.load("tasks", dataset.task.kind).FIELDS
        plugin = plugins.load("sources", source.kind)
        if hasattr(plugin, "PARTS"):
            if len(fields) != plugin.GIVES:
                yield f"{key}.kind: `{source.kind}` gives {plugin.GIVES} fields, but the task asks for {', '.join(fields)}"
            asked = plugin.part_fields(source.model_dump(mode="json"))
            leaves += [(f"{key}.{part}", "dataset", getattr(source, part), asked) for part in plugin.PARTS]
        else:
            leaves.append((key, "dataset", source, fields))
    for leaf in leaves:
        yield from _source(*leaf, config.data)
    yield from _contradicting_pins([(key, source) for key, _, source, _ in leaves])


def _contradicting_pins(sources: list[tuple[str, Any]]) -> Iterator[str]:
    """A version of a package is fetched once, so all that is read from it must agree on its hash."""
    pins: dict[tuple[str, str, str], tuple[str, str]] = {}
    for key, source in sources:
        if source.kind == "wheel":
            first, sha256 = pins.setdefault((source.package, source.version, source.suffix), (key, source.sha256))
            if sha256 != source.sha256:
                yield f"{key}.sha256: {source.package} {source.version} has another hash in {first}; one file can't have both"


def _source(key: str, use: str, source: Any, fields: tuple[str, ...], folder: str) -> Iterator[str]:
    plugin, settings = plugins.load("sources", source.kind), source.model_dump(mode="json")
    if use not in plugin.serves(settings):
        yield f"{key}: this is a source for a {' or '.join(plugin.serves(settings))}, but a {use} is needed"
        return
    aligned = getattr(source, "paths", None)
    named = {"columns": source.columns, "values": source.values, "paths": aligned if isinstance(aligned, dict) else {}}
    if use == "dataset":
        yield from (
            f"{key}.{k}: {plugins.unknown('field', f, list(fields))}" for k in named for f in named[k] if f not in fields
        )
        if named["paths"] and (missing := [field for field in fields if field not in named["paths"]]):
            yield f"{key}.paths: no file for the field {', '.join(missing)}"
    for path in plugin.local_paths(settings, folder):
        if not Path(path).exists():
            yield f"{key}: no such file or folder: {path}"
            continue
        # Snakemake would fail the job when it is done: what it made is older than what it was made of.
        for file in [Path(path), *(Path(path).iterdir() if Path(path).is_dir() else ())]:
            if file.exists() and file.stat().st_mtime > time.time() + SKEW:
                when = datetime.fromtimestamp(file.stat().st_mtime).isoformat(" ", "seconds")
                yield f"{key}: {file} is from the future ({when}): set this machine's clock, or `touch` the file"
