"""What the figures of a configuration show. Read at every start of Snakemake, so nothing heavy is
imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neft.config.figures import Budgets

if TYPE_CHECKING:
    from neft.config.model import Config


def tests(config: Config, figure: Budgets, train: str) -> list[str]:
    """The test sets of one row of panels: those asked for, or all on which every method of the
    series is scored.
    """
    needed = {method for methods in figure.series.values() for method in methods}
    every = dict.fromkeys(test for e in config.experiments for test in e.test)
    return list(figure.test) or [
        test for test in every if needed <= scored(config, figure, train, test)
    ]


def scored(config: Config, figure: Budgets, train: str, test: str) -> set[str]:
    """The methods that experiments tune on one data set and score on another by the figure's
    metric.
    """
    return {
        method
        for e in config.experiments
        if (e.model, e.train) == (figure.model, train)
        and test in e.test
        and figure.metric in e.metrics
        for method in e.methods
    }
