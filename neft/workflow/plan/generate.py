"""The stage `generate`: answers to test sets and benchmarks."""

from __future__ import annotations

from typing import Any

from snakemake.io import ancient

from neft import plugins
from neft.config.model import Dataset
from neft.results.layout import record_of
from neft.results.runs import UNTUNED
from neft.workflow.params import Stage, Wildcards, code, module, plain, spec
from neft.workflow.plan.data import sentence_model
from neft.workflow.plan.model import ModelPlan


class GeneratePlan(Stage):
    """What a configuration's models are asked."""

    @property
    def benchmarks(self) -> list[str]:
        """The data sets that run_benchmark answers; generate_outputs answers the others."""
        return [name for name, dataset in self.config.datasets.items() if is_benchmark(dataset)]

    def generate_outputs_inputs(self, w: Wildcards) -> dict[str, Any]:
        """The base model, and what the chosen trial changed in it."""
        model = ModelPlan(self.config).inputs(w)
        if w.dataset == UNTUNED:
            return model
        chosen = self.layout.trial(w, "chosen")
        delta = {
            "delta": ancient(chosen / "delta.safetensors"),
            "delta_record": chosen / "delta.json",
        }
        return model | delta

    def generate_outputs(self, w: Wildcards) -> str:
        """The prompts and how to decode; not the batch size, on which outputs don't depend."""
        return spec(
            **self.trust(w),
            task=plain(self.config.datasets[w.test].task),
            max_new_tokens=self.config.generation.max_new_tokens,
            precision=self.config.generation.precision,
        )

    def generate_outputs_code(self, w: Wildcards) -> str:
        """The script (which can apply any kind of delta) and the task."""
        return code("generate_outputs", module("tasks", self.config.datasets[w.test].task))

    def measure_losses(self, w: Wildcards) -> str:
        """The prompts and the precision."""
        return spec(
            **self.trust(w),
            task=plain(self.config.datasets[w.test].task),
            precision=self.config.generation.precision,
        )

    def measure_losses_code(self, w: Wildcards) -> str:
        """The script (which can apply any kind of delta) and the task."""
        return code("measure_losses", module("tasks", self.config.datasets[w.test].task))

    def run_benchmark_inputs(self, w: Wildcards) -> dict[str, Any]:
        """As for generation, and what the benchmark itself reads: the data set of its examples, its
        sentence model. A wheel is ancient(), its record is compared.
        """
        files, dataset = self.generate_outputs_inputs(w), self.config.datasets[w.test]
        if examples := getattr(dataset.task, "examples", None):
            files["examples"] = self.layout.split(examples, "test")
        if punkt := sentence_model(dataset):
            wheel = self.layout.wheel(punkt.package, punkt.version, punkt.suffix)
            files |= {"punkt": ancient(wheel), "punkt_record": record_of(wheel)}
        elif hasattr(dataset.task, "nltk_data"):
            files["punkt"] = plugins.load("tasks", dataset.task.kind).punkt_files(
                dataset.task.nltk_data
            )
        return files

    def run_benchmark(self, w: Wildcards) -> str:
        """The task, but not where its files lie, and the precision; the task has its own limit of
        tokens.
        """
        task = {
            key: value
            for key, value in plain(self.config.datasets[w.test].task).items()
            if key != "nltk_data"
        }
        return spec(
            **self.trust(w),
            task=task,
            precision=self.config.generation.precision,
        )

    def run_benchmark_code(self, w: Wildcards) -> str:
        """The script (which can apply any kind of delta) and the task."""
        return code("run_benchmark", module("tasks", self.config.datasets[w.test].task))


def is_benchmark(dataset: Dataset) -> bool:
    """Whether a dataset is one that lm-eval asks and scores."""
    return hasattr(plugins.load("tasks", dataset.task.kind), "benchmark")
