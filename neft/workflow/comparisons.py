"""Which methods are compared with which: each with the baseline, and what claims and duels need."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from neft.config import table_uses
from neft.workflow import claims
from neft.workflow.claims import ClaimPair

if TYPE_CHECKING:
    from neft.config.model import Config, Experiment


class Place(NamedTuple):
    """Where methods meet: one metric on one test set, of models that were tuned on the same rows."""

    model: str
    dataset: str
    test: str
    metric: str


def tested(config: Config) -> dict[Place, list[ClaimPair]]:
    """Pairs of methods that test a claim, by place; the first metric of an experiment is the one
    that judges.
    """
    found: dict[Place, dict[ClaimPair, None]] = {}
    for experiment in config.experiments:
        pairs = dict.fromkeys(claims.pairs(config, experiment))
        for place in _places(experiment) if pairs else ():
            if place.metric == experiment.metrics[0]:
                found.setdefault(place, {}).update(pairs)
    return {place: list(pairs) for place, pairs in found.items()}


def pairs(config: Config) -> dict[Place, list[tuple[str, str]]]:
    """All pairs of methods that are compared, by place: the first less the second."""
    found: dict[Place, dict[tuple[str, str], None]] = {}
    baseline = config.report.baseline
    for experiment in config.experiments:
        others = [method for method in experiment.methods if method != baseline]
        for place in _places(experiment):
            here = found.setdefault(place, {})
            here.update({(method, baseline): None for method in others})
    for place, several in tested(config).items():
        found[place].update({(pair.first, pair.second): None for pair in several})
    for place, duel in _duels(config):
        found[place][duel] = None
    return {place: _once(several) for place, several in found.items() if several}


def _places(experiment: Experiment) -> list[Place]:
    return [
        Place(experiment.model, experiment.train, test, metric)
        for test, metric in product(experiment.test, experiment.metrics)
    ]


def _duels(config: Config) -> Iterator[tuple[Place, tuple[str, str]]]:
    """What tables of duels show: the column's method less the row's."""
    for name, table in config.tables.items():
        for experiment in table_uses.experiments(config, name) if table.kind == "duels" else ():
            for place, row, column in product(_places(experiment), table.rows, table.columns):
                if {row, column} <= set(experiment.methods):
                    yield place, (column, row)


def _once(several: dict[tuple[str, str], None]) -> list[tuple[str, str]]:
    """Pairs in their order, without those that are there the other way round."""
    kept: dict[frozenset[str], tuple[str, str]] = {}
    for pair in several:
        kept.setdefault(frozenset(pair), pair)
    return list(kept.values())
