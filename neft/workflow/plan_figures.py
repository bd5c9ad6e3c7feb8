"""Which figures a configuration asks for, and what each is drawn from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from neft.config import mask_uses
from neft.config.figure_uses import tests
from neft.config.figures import Budgets, Losses
from neft.results.runs import UNTUNED, Run, spell
from neft.workflow.plan import Plan, Wildcards, plain, spec


class FigurePlan:
    """The figures of a planned configuration. Methods that take wildcards serve the rule of the
    same name.
    """

    def __init__(self, plan: Plan) -> None:
        """Plan the figures of a planned configuration."""
        self.plan, self.config = plan, plan.config
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
        """All figures of results and masks; those of the analyses are in
        `neft.workflow.plan_analyses`.
        """
        found = [*self.budgets, *self.losses]
        for model, train in self.trainings:
            shown = {
                "neurons": mask_uses.shown(self.config, model, train),
                "similarity": mask_uses.shown(self.config, model, train, reading="distances"),
                "classifiers": mask_uses.shown(self.config, model, train, reading="states"),
            }
            figures = ["scores", "costs", *(figure for figure, masks in shown.items() if masks)]
            found += [f"{figure}_{model}_{train}" for figure in figures]
        return found

    def runs(self, model: str, train: str) -> list[Run]:
        """The runs of one model on one training set, beside those of the untuned model on the same
        test sets.
        """
        experiments = [e for e in self.config.experiments if (e.model, e.train) == (model, train)]
        untuned = {(method, test) for e in experiments for method in e.methods for test in e.test}
        return [
            replace(run, compare=())  # figures show no tests
            for run in self.plan.runs()
            if run.model == model
            and (
                run.dataset == train
                or (run.dataset == UNTUNED and (run.method, run.test) in untuned)
            )
        ]

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

    def plot_scores(self, w: Wildcards) -> str:
        """The runs, and the method that the others are compared with."""
        return self._shown(self.runs(w.model, w.dataset))

    def cost_runs(self, w: Wildcards) -> list[Run]:
        """The same runs with the first of their scores."""
        return [replace(run, metrics=run.metrics[:1]) for run in self.runs(w.model, w.dataset)]

    def plot_costs(self, w: Wildcards) -> str:
        """As for the scores."""
        return self._shown(self.cost_runs(w))

    def plot_losses(self, w: Wildcards) -> str:
        """The runs of each row."""
        return spec(
            rows=[{"title": title, "runs": spell(runs)} for title, runs in self.loss_runs(w.losses)]
        )

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

    def _shown(self, runs: list[Run], **more: Any) -> str:
        return spec(runs=spell(runs), baseline=self.config.report.baseline, **more)
