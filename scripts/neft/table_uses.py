"""Which experiments a table of the publication shows, and contradictions in the `tables` block of a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neft import plugins

if TYPE_CHECKING:
    from neft.config import Config, Experiment


def reads(config: Config, table: str) -> frozenset[str]:
    """What a kind of table is made from: READS of the plug-in."""
    found: frozenset[str] = plugins.load("tables", config.tables[table].kind).READS
    return found


def experiments(config: Config, table: str) -> list[Experiment]:
    """The experiments that name a table."""
    return [experiment for experiment in config.experiments if table in experiment.tables]


def mistakes(config: Config) -> Iterator[str]:
    """What no single key shows: names that lead nowhere, tables that would be empty or overwrite others."""
    for number, experiment in enumerate(config.experiments):
        for name in experiment.tables:
            key = f"experiments.{number}.tables"
            if name not in config.tables:
                yield f"{key}: {plugins.unknown('table', name, list(config.tables))}"
            elif "runs" not in reads(config, name):
                yield f"{key}: '{name}' is of kind {config.tables[name].kind}, which shows no experiments"
    taken = {"main", *(f"overlap_{name}" for name in config.analyses.overlaps)}
    taken |= {f"{what}_{name}" for what in ("ranks", "categories") for name in config.analyses.ranks}
    for name, table in config.tables.items():
        key = f"tables.{name}"
        if name in taken:
            yield f"{key}: tables/{name}.csv is another table's file; choose another name"
        if table.published and not Path(table.published).is_file():
            yield f"{key}.published: no such file: {table.published}"
        if "runs" in reads(config, name) and not experiments(config, name):
            yield f"{key}: no experiment names this table in its `tables`, so it would be empty"
        for overlap in getattr(table, "overlaps", ()):
            if overlap not in config.analyses.overlaps:
                yield f"{key}.overlaps: {plugins.unknown('overlap', overlap, list(config.analyses.overlaps))}"
        yield from _duellists(config, key, name, table)


def _duellists(config: Config, key: str, name: str, table: Any) -> Iterator[str]:
    """Both sides of a duel must be tuned by an experiment that names the table, and no method can meet itself."""
    there = {method for experiment in experiments(config, name) for method in experiment.methods}
    sides = {side: getattr(table, side, ()) for side in ("rows", "columns")}
    for side, methods in sides.items():
        for method in methods:
            if method not in config.methods:
                yield f"{key}.{side}: {plugins.unknown('method', method, list(config.methods))}"
            elif method not in there:
                yield f"{key}.{side}: '{method}' is among the methods of no experiment that names the table"
            elif config.methods[method].kind == "base":
                yield f"{key}.{side}: '{method}' is the untuned model, which has no seeds to pair"
    for method in set(sides["rows"]) & set(sides["columns"]):
        yield f"{key}: '{method}' is in rows and in columns"
