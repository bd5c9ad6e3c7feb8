"""The configuration: every mistake is one line that says where, what and what is allowed."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from neft.config import loader
from neft.errors import NeftError

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
PART = {"kind": "files", "paths": "config.yaml.tsv", "columns": {"pivot": "en", "text": "fr"}}
PIVOT = {"kind": "pivot", "left": PART, "right": PART}


NLI = {
    "kind": "nli",
    "language": "en",
    "labels": {"a": "yes", "b": "no"},
    "prompt": "{premise} {hypothesis}?",
}
SUMMARY = {
    "kind": "summarization",
    "source_language": "en",
    "target_language": "fr",
    "max_document_tokens": 512,
    "prompt": "{document}",
}


def broken(*changes: tuple[str, object]) -> str:
    """The message for the shipped configuration with some keys ("a.b.c") replaced; ... deletes a
    key.
    """
    values = copy.deepcopy(SHIPPED)
    for key, value in changes:
        *path, last = [int(step) if step.isdigit() else step for step in key.split("/")]
        place = values
        for step in path:
            place = place[step]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    with pytest.raises(NeftError) as caught:
        loader.load(values)
    return str(caught.value)


def touch(source: dict) -> None:
    """Make the files that a user would have."""
    paths = [source.get("path", ()), source.get("paths", ())]
    for group in paths:
        for name in (
            [group]
            if isinstance(group, str)
            else group.values()
            if isinstance(group, dict)
            else group
        ):
            path = Path(name.replace("*", "any"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def test_the_shipped_configurations_are_valid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in [ROOT / "config.yaml", *(ROOT / "configs").glob("*.yaml")]:
        values = copy.deepcopy(SHIPPED)
        if path.parent.name == "configs":
            # As Snakemake does: a file named on the command line is laid over config.yaml.
            from snakemake.utils import update_config

            update_config(values, yaml.safe_load(path.read_text()))
        for block in [*values["models"].values(), *values["datasets"].values()]:
            touch(block["source"])
        for table in values.get("tables", {}).values():
            if "published" in table:
                assert (ROOT / table["published"]).is_file()
                Path(table["published"]).parent.mkdir(parents=True, exist_ok=True)
                Path(table["published"]).touch()
        assert loader.load(values).name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("methods/full/lerning_rate", 1)], "methods.full.lerning_rate: unknown key 'lerning_rate' (did you mean 'learning_rate'?)"),
        ([("extra", 1)], "extra: unknown key 'extra'; available: analyses, data, datasets, experiments, figures"),
        ([("datasets/ui-en-fr/ui-en-fr", 1)], "datasets.ui-en-fr.ui-en-fr: unknown key 'ui-en-fr'; available: filter, source, splits, task"),
        ([("name", ...)], "name: this key is needed but missing"),
        ([("name", "a/b")], "name: "),
        ([("seeds", "one")], 'seeds: should be a list, got "one"'),
        ([("seeds", [1, 1])], "seeds: every seed once, got [1, 1]"),
        ([("methods/lora/kind", "lorra")], "methods.lora.kind: unknown kind 'lorra' (did you mean 'lora'?); available: base, embed"),
        ([("masks/random/kind", ...)], "masks.random.kind: this key is needed but missing; available: "),
        ([("masks/random/fraction", 1.5)], "masks.random.fraction: should be less than or equal to 1, got 1.5"),
        ([("methods/neft/mask", "lowsimilarity")], "methods.neft.mask: unknown mask 'lowsimilarity' (did you mean 'low-similarity'?)"),
        ([("methods/neft/learning_rate", "fast")], 'methods.neft.learning_rate: should be a valid number'),
        ([("methods/neft/learning_rate", -1)], "methods.neft.learning_rate: should be greater than 0, got -1"),
        ([("experiments/0/methods", ["base", "fulll"])], "experiments.0.methods: unknown method 'fulll' (did you mean 'full'?)"),
        ([("experiments/0/test", ["ui-fr-en"])], "experiments.0.test: unknown dataset 'ui-fr-en' (did you mean 'ui-en-fr'?)"),
        ([("experiments/0/model", "gpt")], "experiments.0.model: unknown model 'gpt'; available: smollm2-135m-instruct"),
        ([("report", {"baseline": "lora2"})], "report.baseline: 'lora2' is not among experiments.0.methods: base, full"),
        ([("datasets/ui-en-fr/splits/dev", 0)], "datasets.ui-en-fr.splits.dev: experiments.0 uses this split"),
        ([("datasets/ui-en-fr/splits/test", -3)], "datasets.ui-en-fr.splits.test: should be greater than or equal to 0, got -3"),
        ([("datasets/ui-en-fr/task/prompt", "Translate!")], "datasets.ui-en-fr.task.prompt: needs {source}"),
        ([("datasets/ui-en-fr/task/prompt", "{sauce}")], "datasets.ui-en-fr.task.prompt: unknown placeholder {sauce}"),
        ([("datasets/ui-en-fr/source/sha256", "12")], "datasets.ui-en-fr.source.sha256: "),
        ([("datasets/ui-en-fr/source", {"kind": "files", "paths": "no-such.tsv"})], "datasets.ui-en-fr.source: no such file or folder: no-such.tsv"),
        ([("models/bad name", SHIPPED["models"]["smollm2-135m-instruct"])], "models.bad name: a name starts with a letter or digit"),
        ([("masks/low-similarity", {"kind": "union", "of": ["low-similarity", "random"]})], "masks.low-similarity.of: this mask is made of itself"),
        ([("masks/both", {"kind": "union", "of": ["random", "randon"]})], "masks.both.of: unknown mask 'randon' (did you mean 'random'?)"),
        ([("datasets/ui-en-fr/source", SHIPPED["models"]["smollm2-135m-instruct"]["source"])], "datasets.ui-en-fr.source: this is a source for a model, but a dataset is needed"),
        ([("datasets/ui-en-fr/source/columns", {"sauce": "en"})], "datasets.ui-en-fr.source.columns: unknown field 'sauce' (did you mean 'source'?)"),
        ([("datasets/ui-en-fr/source", {"kind": "files", "paths": "no/*.tsv"})], "datasets.ui-en-fr.source: no such file or folder: no/*.tsv"),
        ([("data", "no"), ("datasets/ui-en-fr/source", {"kind": "files", "paths": "a.tsv"})], "datasets.ui-en-fr.source: no such file or folder: no/a.tsv"),
        ([("datasets/ui-en-fr/source", {"kind": "files", "paths": {"source": "config.yaml"}})], "datasets.ui-en-fr.source.paths: no file for the field target"),
        ([("datasets/ui-en-fr/source", {"kind": "files", "paths": {"sauce": "config.yaml"}})], "datasets.ui-en-fr.source.paths: unknown field 'sauce' (did you mean 'source'?)"),
        ([("datasets/ui-en-fr/source/values", {"label": {0: "no"}})], "datasets.ui-en-fr.source.values: unknown field 'label'; available: source, target"),
        ([("datasets/ui-en-fr/source", PIVOT | {"left": PART | {"paths": "no.tsv"}})], "datasets.ui-en-fr.source.left: no such file or folder: no.tsv"),
        ([("datasets/ui-en-fr/source", PIVOT | {"left": PART | {"columns": {"text": "fr", "en": "en"}}})], "datasets.ui-en-fr.source.left.columns: unknown field 'en'; available: pivot, text"),
        ([("datasets/ui-en-fr/source", PIVOT | {"right": SHIPPED["models"]["smollm2-135m-instruct"]["source"]})], "datasets.ui-en-fr.source.right: this is a source for a model, but a dataset is needed"),
        ([("datasets/ui-en-fr/source", {"kind": "pairs", "of": PART})], "datasets.ui-en-fr.source.kind: `pairs` gives 3 fields, but the task asks for source, target"),
        ([("models/smollm2-135m-instruct/source", PIVOT)], "models.smollm2-135m-instruct.source: this is a source for a dataset, but a model is needed"),
        ([("datasets/more", SHIPPED["datasets"]["ui-en-fr"] | {"source": SHIPPED["datasets"]["ui-en-fr"]["source"] | {"sha256": "0" * 64}})], "datasets.more.source.sha256: jupyterlab-language-pack-fr-FR 4.5.post3 has another hash in datasets.ui-en-fr.source; one file can't have both"),
        ([("masks/random/axis", "row")], "masks: all masks of an experiment share one `axis`"),
        ([("metrics/right", {"kind": "accuracy"}), ("experiments/0/metrics", ["chrf", "right"])], "experiments.0.metrics: 'right' (kind accuracy) does not score a task of kind translation, that of ui-en-fr; kinds that do: bleu, chrf, comet"),
        ([("datasets/ui-en-fr/task", NLI | {"labels": {"a": "yes", "b": "YES"}})], "datasets.ui-en-fr.task.labels: every label needs a word of its own"),
        ([("datasets/ui-en-fr/task", NLI | {"labels": {0: True, 1: False}})], "datasets.ui-en-fr.task.labels: put the words in quotation marks, since YAML reads a bare yes or no as true or false"),
        ([("datasets/ui-en-fr/task", NLI | {"prompt": "{premise}"})], "datasets.ui-en-fr.task.prompt: needs {hypothesis}"),
        ([("datasets/ui-en-fr/task", NLI)], "experiments.0.metrics: 'bleu' (kind bleu) does not score a task of kind nli, that of ui-en-fr; kinds that do: accuracy"),
        ([("datasets/ui-en-fr/task", SUMMARY)], "datasets.ui-en-fr.task.max_document_tokens: must be below training.max_length (512), which counts prompt and answer too; got 512"),
        ([("metrics/comet", {"kind": "comet"})], "metrics.comet: needs either `model` (with `revision`) or `checkpoint`, got"),
        ([("metrics/comet", {"kind": "comet", "checkpoint": "a/b/no-such.ckpt", "encoder_revision": "a" * 40})], "metrics.comet: no such file or folder: a/b/no-such.ckpt"),
        ([("masks/low-similarity/step", 99)], "masks.low-similarity.step: the probe takes 12 steps (probe.steps), got 99"),
        ([("masks/random", {"kind": "file", "path": "no-such.safetensors"})], "masks.random.path: no such file: no-such.safetensors"),
        ([("masks/both", {"kind": "union", "of": [{"mask": "random", "dataset": "ui-en-de"}]})], "masks.both.of: unknown dataset 'ui-en-de' (did you mean 'ui-en-fr'?)"),
        ([("masks/a", {"kind": "union", "of": [{"mask": "a", "dataset": "ui-en-fr"}]})], "masks.a.of: this mask is made of itself"),
        ([("masks/a", {"kind": "union", "of": ["random"]}), ("masks/b", {"kind": "union", "of": ["a"], "refill": True})], "masks.b.refill: 'a' (kind union) ranks no neurons of its own"),
        ([("methods/neft/mask_from", "ui-fr-en")], "methods.neft.mask_from: unknown dataset 'ui-fr-en' (did you mean 'ui-en-fr'?)"),
        ([("datasets/ui-en-fr/splits/test", 1)], "datasets.ui-en-fr.splits.test: experiments.0 uses this split, so it needs at least 2 rows, got 1"),
        ([("datasets/other", {**SHIPPED["datasets"]["ui-en-fr"], "splits": {"test": 3}}), ("methods/neft/mask_from", "other")], "datasets.other.splits.dev: mask 'low-similarity' is found with it, so it needs at least 1 row, got 0"),
        ([("masks/random", {"kind": "probe", "neurons": 9})], "masks.random.kind: 'probe' tells classes apart, but the task of dataset 'ui-en-fr' (kind translation) has no fixed list of answers"),
        ([("training/micro_batch_size", 5)], "training: micro_batch_size 5 does not divide batch_size 16"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(changes, message):
    text = broken(*changes)
    assert text.startswith("config.yaml: ")
    assert f"config.yaml: {message}" in text


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"kind": "mmlu"}, "datasets.exam.task: `shots: 5` needs `examples`, the name of the data set to take them from"),
        ({"kind": "mmlu", "examples": "ui-en"}, "datasets.exam.task.examples: unknown dataset 'ui-en' (did you mean 'ui-en-fr'?)"),
        ({"kind": "mmlu", "examples": "ui-en-fr"}, "datasets.exam.task.examples: 'ui-en-fr' is of kind translation, but must be of kind mmlu"),
        ({"kind": "ifeval", "nltk_data": "/no/data"}, "datasets.exam.task.nltk_data: no such file or folder: /no/data/tokenizers/punkt_tab/english"),
        ({"kind": "ifeval"}, "experiments.0.train: 'exam' is of kind ifeval, which can only be tested; name it in `test`"),
        ({"kind": "ifeval"}, "experiments.0.metrics: 'bleu' (kind bleu) does not score a task of kind ifeval"),
    ],
)  # fmt: skip
def test_mistakes_with_benchmarks_are_named(task, message, tmp_path):
    (tmp_path / "rows.jsonl").touch()
    source = {"kind": "files", "paths": str(tmp_path / "rows.jsonl")}
    exam = {"task": task, "source": source, "splits": {"train": 1, "dev": 1, "test": 1}}
    changes = [
        ("datasets/exam", exam),
        ("experiments/0/train", "exam"),
        ("experiments/0/test", ["exam"]),
    ]
    assert f"config.yaml: {message}" in broken(*changes)


TABLE = {"kind": "scores", "title": "Scores"}
DUELS = {"kind": "duels", "title": "Duels", "rows": ["lora"], "columns": ["neft"]}


@pytest.mark.parametrize(
    ("tables", "named", "message"),
    [
        ({"t1": TABLE}, ["t2"], "experiments.0.tables: unknown table 't2'; available: t1"),
        ({"t1": TABLE}, [], "tables.t1: no experiment names this table in its `tables`, so it would be empty"),
        ({"main": TABLE}, ["main"], "tables.main: tables/main.csv is another table's file; choose another name"),
        ({"t1": TABLE | {"published": "no.csv"}}, ["t1"], "tables.t1.published: no such file: no.csv"),
        ({"t1": TABLE | {"rows": []}}, ["t1"], "tables.t1.rows: unknown key 'rows'; available: kind, published, title"),
        ({"t6": {"kind": "overlaps", "title": "Overlap", "overlaps": ["x"]}}, [], "tables.t6.overlaps: unknown overlap 'x'"),
        ({"t6": {"kind": "overlaps", "title": "Overlap", "overlaps": ["x"]}}, ["t6"], "'t6' is of kind overlaps, which shows no"),
        ({"t7": DUELS | {"rows": ["lorra"]}}, ["t7"], "tables.t7.rows: unknown method 'lorra' (did you mean 'lora'?)"),
        ({"t7": DUELS | {"rows": ["base"]}}, ["t7"], "tables.t7.rows: 'base' is the untuned model, which has no seeds to pair"),
        ({"t7": DUELS | {"rows": ["neft"]}}, ["t7"], "tables.t7: 'neft' is in rows and in columns"),
    ],
)  # fmt: skip
def test_mistakes_in_tables_are_named(tables, named, message):
    assert message in broken(("tables", tables), ("experiments/0/tables", named))


def test_a_circle_of_masks_is_named():
    text = broken(
        ("masks/a", {"kind": "union", "of": ["b", "random"]}),
        ("masks/b", {"kind": "union", "of": ["a", "random"]}),
    )
    assert "masks.a.of: this mask is made of itself" in text
    assert "masks.b.of: this mask is made of itself" in text


def test_all_mistakes_are_reported_together():
    text = broken(("name", ...), ("methods/full/learning_rate", -1), ("extra", 1))
    assert len(text.splitlines()) == 3
