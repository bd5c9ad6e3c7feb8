"""Which runs a configuration asks for, and which of them stand side by side."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from neft.config.model import Experiment
from neft.results.runs import UNTUNED, Run, files_of
from neft.workflow.params import Stage, Wildcards


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
                    kind, base = self.config.methods[method].kind, self.config.report.baseline
                    names = experiment.metrics
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
                            names,
                            () if method == base else names,
                        ): None
                        for dataset, seed in places
                    }
        return list(found)

    def files(self, *kinds: str) -> list[str]:
        """Files of some kinds of all runs, in their order: "outputs", "scores", "comparisons",
        "metrics", "history", …
        """
        return files_of(self.layout.root, self._all, *kinds)

    def baseline(self, w: Wildcards) -> Run:
        """The run that another is compared with: the baseline's on the same test set, of the same
        seed if it has one.
        """
        trained_on = {
            e.train
            for e in self.config.experiments
            if e.model == w.model and w.test in e.test and w.method in e.methods
        }
        options = [
            run
            for run in self._all
            if (run.model, run.test, run.method) == (w.model, w.test, self.config.report.baseline)
            and (
                run.dataset == UNTUNED
                or run.dataset in ({w.dataset} if w.dataset != UNTUNED else trained_on)
            )
        ]
        return next((run for run in options if str(run.seed) == w.seed), options[0])
