"""Which runs a configuration asks for, and which of them stand side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

from neft import plugins
from neft.config.model import Experiment
from neft.results.runs import UNTUNED, Run, files_of
from neft.workflow.params import Stage


class RunPlan(Stage):
    """The runs of a planned configuration."""

    @cached_property
    def _all(self) -> list[Run]:
        return self.of(self.config.experiments)

    def all(self) -> list[Run]:
        """All runs of all experiments, each once, in the order of the configuration."""
        return list(self._all)

    def of(self, experiments: Iterable[Experiment]) -> list[Run]:
        """The runs of some experiments, each once with the metrics of all, in their order.

        The untuned model gives the same outputs whatever the training set and the seed, so it is
        one run for each test set.
        """
        found: dict[Run, tuple[str, ...]] = {}
        for experiment, test in ((one, test) for one in experiments for test in one.test):
            for method in experiment.methods:
                kind = self.config.methods[method].kind
                places = (
                    [(UNTUNED, 0)]
                    if kind == "base"
                    else [(experiment.train, seed) for seed in self.config.seeds]
                )
                for dataset, seed in places:
                    run = Run(experiment.model, dataset, method, kind, seed, test)
                    found[run] = (*found.get(run, ()), *experiment.metrics)
        return [self._scored(run, tuple(dict.fromkeys(names))) for run, names in found.items()]

    def _scored(self, run: Run, metrics: tuple[str, ...]) -> Run:
        """A run with these metrics."""
        generated = any("losses" not in reads_of(self.config.metrics[name]) for name in metrics)
        return replace(run, metrics=metrics, generated=generated)

    def near(self) -> list[str]:
        """What is known of near duplicates between what was trained on and each test set."""
        places = dict.fromkeys((run.dataset, run.test) for run in self._all if run.tuned)
        return [str(self.layout.near(*place)) for place in places]

    def files(self, *kinds: str) -> list[str]:
        """Files of some kinds of all runs, in their order: "outputs", "scores", "metrics",
        "history", …
        """
        return files_of(self.layout.root, self._all, *kinds)


def reads_of(metric: Any) -> frozenset[str]:
    """What a metric is made from besides generated outputs, or (`losses`) in their place: READS of
    its plug-in.
    """
    found: frozenset[str] = getattr(plugins.load("metrics", metric.kind), "READS", frozenset())
    return found
