"""Which runs a configuration asks for, and which of them stand side by side."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

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
        """The runs of some experiments, each once, in their order.

        The untuned model gives the same outputs whatever the training set and the seed, so it is
        one run for each test set.
        """
        found: dict[Run, None] = {}
        for experiment in experiments:
            for test in experiment.test:
                for method in experiment.methods:
                    kind = self.config.methods[method].kind
                    places = (
                        [(UNTUNED, 0)]
                        if kind == "base"
                        else [(experiment.train, seed) for seed in self.config.seeds]
                    )
                    found |= {
                        Run(
                            experiment.model,
                            dataset,
                            method,
                            kind,
                            seed,
                            test,
                            experiment.metrics,
                        ): None
                        for dataset, seed in places
                    }
        return list(found)

    def files(self, *kinds: str) -> list[str]:
        """Files of some kinds of all runs, in their order: "outputs", "scores", "metrics",
        "history", …
        """
        return files_of(self.layout.root, self._all, *kinds)
