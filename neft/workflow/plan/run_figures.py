"""The stage `run_figures`: which figures of scores, costs and losses a configuration asks for, and
what each is drawn from.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from neft.config.figure_uses import tests
from neft.config.figures import Budgets, Losses
from neft.results.runs import Run, files_of, to_spec
from neft.workflow.params import Stage, Wildcards, plain, spec
from neft.workflow.plan.runs import RunPlan


class RunFigurePlan(Stage):
    """The figures of a planned configuration's runs."""

    def __init__(self, runs: RunPlan) -> None:
        """runs: those that are drawn."""
        super().__init__(runs.config)
        self.planned = runs
        self.trainings = list(dict.fromkeys((e.model, e.train) for e in self.config.experiments))
        named = self.config.figures
        self.budgets = {
            name: figure for name, figure in named.items() if isinstance(figure, Budgets)
        }
        # Rows of (title, model, training set, methods); one row of everything for each training
        # set.
        self.losses: dict[str, list[tuple[str, str, str, tuple[str, ...]]]] = {
            f"losses_{model}_{train}": [("", model, train, self._tuned(model, train))]
            for model, train in self.trainings
            if self._tuned(model, train)
        }
        for name, figure in named.items():
            if isinstance(figure, Losses):
                self.losses[name] = [
                    (title, figure.model, figure.train, methods)
                    for title, methods in figure.rows.items()
                ]

    def names(self) -> list[str]:
        """All figures of runs."""
        both = [
            f"{figure}_{model}_{train}"
            for model, train in self.trainings
            for figure in ("scores", "costs")
        ]
        return [*self.budgets, *self.losses, *both]

    def runs(self, model: str, train: str) -> list[Run]:
        """The runs of one model on one training set, beside those of the untuned model on the same
        test sets.
        """
        return self.planned.of(
            e for e in self.config.experiments if (e.model, e.train) == (model, train)
        )

    def loss_runs(self, name: str) -> list[tuple[str, list[Run]]]:
        """The tunings that each row of a figure of losses shows, whatever they are tested on."""

        def tunings(model: str, train: str, methods: tuple[str, ...]) -> list[Run]:
            found = {
                replace(run, test="", metrics=()): None
                for run in self.runs(model, train)
                if run.method in methods and run.tuned
            }
            return sorted(found, key=lambda run: methods.index(run.method))

        return [
            (title, tunings(model, train, methods))
            for title, model, train, methods in self.losses[name]
        ]

    def budget_runs(self, name: str) -> list[Run]:
        """The runs that a figure of budgets shows, the baseline among them."""
        figure = self.budgets[name]
        methods = {method for series in figure.series.values() for method in series} | {
            self.config.report.baseline
        }
        return [
            replace(run, metrics=(figure.metric,))
            for train in figure.train
            for run in self.runs(figure.model, train)
            if run.method in methods
            and run.test in tests(self.config, figure, train)
            and figure.metric in run.metrics
        ]

    def plot_scores_inputs(self, w: Wildcards) -> list[str]:
        """Scores and training metrics of the runs."""
        return self._files(self.runs(w.model, w.dataset), "scores", "metrics", "trials")

    def plot_scores(self, w: Wildcards) -> str:
        """The runs, and the method that a line marks."""
        return self._shown(self.runs(w.model, w.dataset))

    def cost_runs(self, w: Wildcards) -> list[Run]:
        """The same runs with the first of their scores."""
        return [replace(run, metrics=run.metrics[:1]) for run in self.runs(w.model, w.dataset)]

    def plot_costs_inputs(self, w: Wildcards) -> list[str]:
        """As for the scores."""
        return self._files(self.cost_runs(w), "scores", "metrics", "trials")

    def plot_costs(self, w: Wildcards) -> str:
        """The runs."""
        return spec(runs=to_spec(self.cost_runs(w)))

    def plot_losses_inputs(self, w: Wildcards) -> list[str]:
        """The histories of all rows' tunings."""
        runs = [run for _, row in self.loss_runs(w.losses) for run in row]
        return self._files(runs, "history")

    def plot_losses(self, w: Wildcards) -> str:
        """The runs of each row."""
        return spec(
            rows=[
                {"title": title, "runs": to_spec(runs)} for title, runs in self.loss_runs(w.losses)
            ]
        )

    def plot_budgets_inputs(self, w: Wildcards) -> list[str]:
        """Scores and training metrics of the runs."""
        return self._files(self.budget_runs(w.budgets), "scores", "metrics", "trials")

    def plot_budgets(self, w: Wildcards) -> str:
        """The runs, and which methods a line connects; a list, since a spec's keys are sorted and
        the legend is not.
        """
        return self._shown(
            self.budget_runs(w.budgets),
            series=list(plain(self.budgets[w.budgets])["series"].items()),
        )

    def _tuned(self, model: str, train: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(run.method for run in self.runs(model, train) if run.tuned))

    def _files(self, runs: list[Run], *kinds: str) -> list[str]:
        return files_of(self.layout.root, runs, *kinds)

    def _shown(self, runs: list[Run], **more: Any) -> str:
        return spec(runs=to_spec(runs), baseline=self.config.report.baseline, **more)
