"""Mistakes in the `tables` block of a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neft import errors
from neft.config import table_uses

if TYPE_CHECKING:
    from neft.config.model import Config


def mistakes(config: Config) -> Iterator[str]:
    """What no single key shows: names that lead nowhere, tables that would be empty or overwrite
    others.
    """
    for number, experiment in enumerate(config.experiments):
        for name in experiment.tables:
            key = f"experiments.{number}.tables"
            if name not in config.tables:
                yield f"{key}: {errors.unknown_name('table', name, list(config.tables))}"
            elif "runs" not in table_uses.reads(config, name):
                yield (
                    f"{key}: '{name}' is of kind {config.tables[name].kind}, which shows no"
                    " experiments"
                )
    taken = {"main", *(f"overlap_{name}" for name in config.analyses.overlaps)}
    taken |= {
        f"{what}_{name}" for what in ("ranks", "categories") for name in config.analyses.ranks
    }
    for name, table in config.tables.items():
        key = f"tables.{name}"
        if name in taken:
            yield f"{key}: tables/{name}.csv is another table's file; choose another name"
        if table.published and not Path(table.published).is_file():
            yield f"{key}.published: no such file: {table.published}"
        if "runs" in table_uses.reads(config, name) and not table_uses.experiments(config, name):
            yield f"{key}: no experiment names this table in its `tables`, so it would be empty"
        for overlap in getattr(table, "overlaps", ()):
            if overlap not in config.analyses.overlaps:
                yield (
                    f"{key}.overlaps:"
                    f" {errors.unknown_name('overlap', overlap, list(config.analyses.overlaps))}"
                )
        yield from _duellists(config, key, name, table)


def _duellists(config: Config, key: str, name: str, table: Any) -> Iterator[str]:
    """Both sides of a duel must be tuned by an experiment that names the table, and no method can
    meet itself.
    """
    there = {
        method
        for experiment in table_uses.experiments(config, name)
        for method in experiment.methods
    }
    sides = {side: getattr(table, side, ()) for side in ("rows", "columns")}
    for side, methods in sides.items():
        for method in methods:
            if method not in config.methods:
                yield f"{key}.{side}: {errors.unknown_name('method', method, list(config.methods))}"
            elif method not in there:
                yield (
                    f"{key}.{side}: '{method}' is among the methods of no experiment that names the"
                    " table"
                )
            elif config.methods[method].kind == "base":
                yield f"{key}.{side}: '{method}' is the untuned model, which has no seeds to pair"
    for method in set(sides["rows"]) & set(sides["columns"]):
        yield f"{key}: '{method}' is in rows and in columns"
