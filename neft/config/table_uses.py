"""Which experiments a table of the publication shows."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from neft import plugins

if TYPE_CHECKING:
    from neft.config.model import Config, Experiment


def reads(config: Config, table: str) -> frozenset[str]:
    """What a kind of table is made from: READS of the plug-in."""
    found: frozenset[str] = plugins.load("tables", config.tables[table].kind).READS
    return found


def experiments(config: Config, table: str) -> list[Experiment]:
    """The experiments that name a table."""
    return [experiment for experiment in config.experiments if table in experiment.tables]


def duels(config: Config, experiment: Experiment) -> list[tuple[str, str]]:
    """The pairs of methods that meet in the tables of duels that an experiment names: the column's
    method, the row's.
    """
    tables = [config.tables[name] for name in experiment.tables]
    return [
        (column, row)
        for table in tables
        if table.kind == "duels"
        for row, column in product(table.rows, table.columns)
        if {row, column} <= set(experiment.methods)
    ]
