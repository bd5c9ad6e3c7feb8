"""The stage `score`: scores of outputs, and comparisons of methods and of two runs."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from snakemake.io import ancient

from neft import plugins
from neft.results.layout import record_of
from neft.results.runs import UNTUNED, Run
from neft.workflow import comparisons
from neft.workflow.comparisons import Place
from neft.workflow.params import Stage, Wildcards, code, module, plain, spec
from neft.workflow.plan.data import files_in
from neft.workflow.plan.runs import RunPlan


class ScorePlan(Stage):
    """The scores of a planned configuration."""

    def __init__(self, runs: RunPlan, *, conda: bool = False) -> None:
        """conda: whether COMET's environment is conda's, so that no rule has to build it."""
        super().__init__(runs.config)
        self.runs, self.conda = runs, conda

    def predict_comet_inputs(self, w: Wildcards) -> dict[str, Any]:
        """A COMET model and its encoder, fetched or local, and the environment that runs it."""
        metric = self.config.metrics[w.metric]
        fetched = plugins.load("metrics", metric.kind).fetch_specs(metric)
        files: dict[str, Any] = {}
        if "metrics" in fetched:
            folder = self.layout.hub("metrics", w.metric)
            files |= {"model": ancient(folder), "model_record": record_of(folder)}
        else:
            settings = Path(metric.checkpoint).parents[1] / "hparams.yaml"
            files |= {"checkpoint": metric.checkpoint, "settings": settings}
        if "encoders" in fetched:
            folder = self.layout.hub("encoders", w.metric)
            files |= {"encoder": ancient(folder), "encoder_record": record_of(folder)}
        else:
            files |= {"encoder": ancient(metric.encoder), "content": files_in(metric.encoder)}
        return files | ({} if self.conda else {"ready": ancient(".venv-comet/ready")})

    def predict_comet(self, w: Wildcards) -> str:
        """Which model, and whether it is trusted; not how its scores are summed up."""
        metric = self.config.metrics[w.metric]
        return spec(**plugins.load("metrics", metric.kind).predict_spec(metric))

    def score_outputs_inputs(self, w: Wildcards) -> dict[str, Path]:
        """The scores of segments, for a metric that reads them."""
        path = self.segments(w, w.test, w.metric)
        return {"segments": path} if path else {}

    def score_outputs(self, w: Wildcards) -> str:
        """The metric and the language that it tokenizes."""
        task = self.config.datasets[w.test].task
        language = plugins.load("tasks", task.kind).language(task)
        return spec(metric=plain(self.config.metrics[w.metric]), language=language)

    def score_outputs_code(self, w: Wildcards) -> str:
        """The script and the metric."""
        return code("score_outputs", module("metrics", self.config.metrics[w.metric]))

    def compare_outputs_inputs(self, w: Wildcards) -> dict[str, Path]:
        """The baseline's outputs, and the scores of both runs' segments for a metric that reads
        them.
        """
        run = self.runs.baseline(w)
        files = self.score_outputs_inputs(w) | {"baseline": self.layout.outputs(run, w.test)}
        path = self.segments(run, w.test, w.metric)
        return files | ({"baseline_segments": path} if path else {})

    def compare_outputs(self, w: Wildcards) -> str:
        """As for a score, and with which method to compare, and with which run of it."""
        run = self.runs.baseline(w)
        return spec(
            **json.loads(self.score_outputs(w)),
            baseline=run.method,
            baseline_run={"dataset": run.dataset, "seed": run.seed},
        )

    def compare_outputs_code(self, w: Wildcards) -> str:
        """The script and the metric."""
        return code("compare_outputs", module("metrics", self.config.metrics[w.metric]))

    @cached_property
    def pairs(self) -> dict[Place, list[tuple[str, str]]]:
        """Pairs of methods that are compared, by place."""
        return comparisons.pairs(self.config)

    def comparisons(self) -> list[str]:
        """The file of every place where methods are compared."""
        return [str(self.layout.comparison(*place)) for place in self.pairs]

    def compare_methods_inputs(self, w: Wildcards) -> dict[str, list[Path]]:
        """The outputs of every seed, and the scores of their segments for a metric that reads
        them.
        """
        runs = self._compared(w)
        paths = [self.segments(run, w.test, w.metric) for run in runs]
        segments = [path for path in paths if path]
        outputs = {"outputs": [self.layout.outputs(run, w.test) for run in runs]}
        return outputs | ({"segments": segments} if segments else {})

    def compare_methods(self, w: Wildcards) -> str:
        """As for a score, and whose outputs these are, and the pairs."""
        return spec(
            **json.loads(self.score_outputs(w)),
            runs=[(run.method, run.seed) for run in self._compared(w)],
            pairs=self.pairs[Place(w.model, w.dataset, w.test, w.metric)],
        )

    def compare_methods_code(self, w: Wildcards) -> str:
        """The script and the metric."""
        return code("compare_methods", module("metrics", self.config.metrics[w.metric]))

    def _compared(self, w: Wildcards) -> list[Run]:
        """All runs of the methods that are compared in one place, each once."""
        pairs = self.pairs[Place(w.model, w.dataset, w.test, w.metric)]
        methods = {method for pair in pairs for method in pair}
        found = {
            (run.method, run.seed): run
            for run in self.runs.all()
            if (run.model, run.test) == (w.model, w.test)
            and run.dataset in (w.dataset, UNTUNED)
            and run.method in methods
        }
        return list(found.values())

    def segments(self, run: Any, test: str, metric: str) -> Path | None:
        """The scores of a run's segments, for a metric that reads them from another rule. run: any
        wildcards of its place.
        """
        plugin = plugins.load("metrics", self.config.metrics[metric].kind)
        reads = getattr(plugin, "READS", ())
        return self.layout.segments(run, test, metric) if "segments" in reads else None
