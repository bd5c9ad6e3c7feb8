"""The stage `score`: scores of outputs, and how methods differ."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from snakemake.io import ancient

from neft import plugins
from neft.config import table_uses
from neft.results.layout import record_of
from neft.results.runs import UNTUNED, Run
from neft.workflow import claims
from neft.workflow.params import Stage, Wildcards, code, module, plain, spec
from neft.workflow.plan.data import files_in
from neft.workflow.plan.runs import RunPlan, reads_of


class Place(NamedTuple):
    """Where methods meet: one metric on one test set, of models that were tuned on the same rows."""

    model: str
    dataset: str
    test: str
    metric: str


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
        """What the metric scores, and the scores of segments, for one that reads them."""
        path = self.segments(w, w.test, w.metric)
        scored = {"outputs": self.scored(w, w.test, w.metric)}
        return scored | ({"segments": path} if path else {})

    def score_outputs(self, w: Wildcards) -> str:
        """The metric and the language that it tokenizes."""
        task = self.config.datasets[w.test].task
        language = plugins.load("tasks", task.kind).language(task)
        return spec(metric=plain(self.config.metrics[w.metric]), language=language)

    def score_outputs_code(self, w: Wildcards) -> str:
        """The script and the metric."""
        return code("score_outputs", module("metrics", self.config.metrics[w.metric]))

    @cached_property
    def pairs(self) -> dict[Place, list[tuple[str, str]]]:
        """Which methods are compared where: each with the baseline, and those that claims and
        duels are about.
        """
        found: dict[Place, dict[tuple[str, str], None]] = {}
        for experiment in self.config.experiments:
            named = [claim[1:] for claim in claims.pairs(self.config, experiment)]
            named += table_uses.duels(self.config, experiment)
            baseline = self.config.report.baseline
            pairs = [(method, baseline) for method in experiment.methods if method != baseline]
            # The other way round a difference is the same.
            pairs += [pair for pair in named if baseline not in pair]
            for test, metric in product(experiment.test, experiment.metrics):
                place = Place(experiment.model, experiment.train, test, metric)
                for pair in pairs:
                    if pair[::-1] not in found.setdefault(place, {}):
                        found[place][pair] = None
        return {place: list(pairs) for place, pairs in found.items() if pairs}

    def comparisons(self, runs: Iterable[Run] | None = None) -> list[str]:
        """The files that compare methods: all, or those of the places of some runs and their
        metrics.
        """
        wanted = (
            None
            if runs is None
            else {
                (run.model, run.dataset, run.test, metric) for run in runs for metric in run.metrics
            }
        )
        return [
            str(self.layout.comparisons(*place))
            for place in self.pairs
            if wanted is None or place in wanted
        ]

    def compare_methods_inputs(self, w: Wildcards) -> dict[str, list[Path]]:
        """Outputs of every seed of every method, and scores of their segments for a metric that
        reads these.
        """
        runs = self._compared(w)
        segments = [path for run in runs if (path := self.segments(run, w.test, w.metric))]
        outputs = {"outputs": [self.scored(run, w.test, w.metric) for run in runs]}
        return outputs | ({"segments": segments} if segments else {})

    def compare_methods(self, w: Wildcards) -> str:
        """Metric and language as for a score, whose outputs they are, and the pairs."""
        return spec(
            **json.loads(self.score_outputs(w)),
            runs=[{"method": run.method, "seed": run.seed} for run in self._compared(w)],
            pairs=self.pairs[Place(w.model, w.dataset, w.test, w.metric)],
        )

    def compare_methods_code(self, w: Wildcards) -> str:
        """The script and the metric."""
        return code("compare_methods", module("metrics", self.config.metrics[w.metric]))

    def _compared(self, w: Wildcards) -> list[Run]:
        """The runs whose outputs a place compares."""
        pairs = self.pairs[Place(w.model, w.dataset, w.test, w.metric)]
        methods = {method for pair in pairs for method in pair}
        found = {
            replace(run, metrics=(), generated=False): None
            for run in self.runs.all()
            if (run.model, run.test) == (w.model, w.test)
            and run.dataset in (w.dataset, UNTUNED)
            and run.method in methods
        }
        return list(found)

    def scored(self, run: Any, test: str, metric: str) -> Path:
        """The rows that a metric scores: a run's outputs or its losses. run: any wildcards of its
        place.
        """
        reads = reads_of(self.config.metrics[metric])
        place = self.layout.losses if "losses" in reads else self.layout.outputs
        return place(run, test)

    def segments(self, run: Any, test: str, metric: str) -> Path | None:
        """The scores of a run's segments, for a metric that reads them from another rule."""
        reads = reads_of(self.config.metrics[metric])
        return self.layout.segments(run, test, metric) if "segments" in reads else None
