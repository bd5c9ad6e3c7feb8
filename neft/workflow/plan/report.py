"""The stage `report`: the main table, sample outputs, and all that is asked for."""

from __future__ import annotations

from typing import Any

from neft import plugins
from neft.results.runs import to_spec
from neft.workflow.params import Stage, Wildcards, plain, spec
from neft.workflow.plan.runs import RunPlan


class ReportPlan(Stage):
    """The tables and pages that every experiment has."""

    def __init__(self, runs: RunPlan) -> None:
        """runs: those that are shown."""
        super().__init__(runs.config)
        self.runs = runs

    def products(self) -> list[str]:
        """The main table, the page of samples and that of the configuration."""
        tables = [self.layout.table("main", suffix) for suffix in ("csv", "md", "tex", "html")]
        return list(map(str, [*tables, self.layout.samples(), self.layout.page("config.html")]))

    def make_table(self, w: Wildcards) -> str:
        """All runs, and the method that the others are compared with."""
        return spec(
            title="Results", runs=to_spec(self.runs.all()), baseline=self.config.report.baseline
        )

    def show_samples(self, w: Wildcards) -> str:
        """How many samples of which runs; a metric that is meaningful for a single sentence stands
        beside each.
        """
        kinds = ("chrf", "accuracy", "rouge", "comet")
        metrics = [
            name
            for kind in kinds
            for name, metric in self.config.metrics.items()
            if metric.kind == kind
        ]
        tests = dict.fromkeys(
            test for experiment in self.config.experiments for test in experiment.test
        )
        languages = {test: _languages(self.config.datasets[test].task) for test in tests}
        return spec(
            title="Sample outputs",
            runs=to_spec(self.runs.all()),
            samples=self.config.report.samples,
            seed=self.config.seeds[0],
            metrics=metrics,
            languages=languages,
        )

    def show_config(self, w: Wildcards) -> str:
        """The whole configuration."""
        return spec(config=plain(self.config))

    def record_provenance(self, w: Wildcards) -> str:
        """The whole configuration."""
        return spec(config=plain(self.config))


def _languages(task: Any) -> dict[str, str]:
    """The languages of what a task's rows ask and of what is answered."""
    output = plugins.load("tasks", task.kind).language(task)
    return {"source": getattr(task, "source_language", output), "output": output}
