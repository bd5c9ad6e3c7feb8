"""The configuration: every mistake is one line that says where, what and what is allowed."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml

from neft import config
from neft.errors import NeftError

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())


def broken(*changes: tuple[str, object]) -> str:
    """The message for the shipped configuration with some keys ("a.b.c") replaced; ... deletes a key."""
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
        config.load(values)
    return str(caught.value)


def test_the_shipped_configurations_are_valid(tmp_path, monkeypatch):
    # The example for own data names files that a user would have.
    for name in ("my-model/config.json", "my-data/pairs.tsv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    for path in [ROOT / "config.yaml", *(ROOT / "configs").glob("*.yaml")]:
        values = copy.deepcopy(SHIPPED)
        if path.parent.name == "configs":
            # As Snakemake does: a file named on the command line is laid over config.yaml.
            from snakemake.utils import update_config

            update_config(values, yaml.safe_load(path.read_text()))
        assert config.load(values).name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("methods/full/lerning_rate", 1)], "methods.full.lerning_rate: unknown key 'lerning_rate' (did you mean 'learning_rate'?)"),
        ([("extra", 1)], "extra: unknown key 'extra'; available: analyses, datasets, experiments"),
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
        ([("masks/random/axis", "row")], "masks: all masks of an experiment share one `axis`"),
        ([("training/micro_batch_size", 5)], "training: micro_batch_size 5 does not divide batch_size 16"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(changes, message):
    text = broken(*changes)
    assert text.startswith("config.yaml: ")
    assert f"config.yaml: {message}" in text


def test_a_circle_of_masks_is_named():
    text = broken(("masks/a", {"kind": "union", "of": ["b", "random"]}), ("masks/b", {"kind": "union", "of": ["a", "random"]}))
    assert "masks.a.of: this mask is made of itself" in text
    assert "masks.b.of: this mask is made of itself" in text


def test_all_mistakes_are_reported_together():
    text = broken(("name", ...), ("methods/full/learning_rate", -1), ("extra", 1))
    assert len(text.splitlines()) == 3


def test_schema_and_reference_in_docs_are_current():
    assert json.loads((ROOT / "docs/config.schema.json").read_text()) == config.json_schema()
    assert (ROOT / "docs/config.md").read_text() == config.reference()


def test_the_reference_explains_every_key():
    for line in config.reference().splitlines():
        if line.startswith("| `"):
            assert line.split("|")[-2].strip(), f"no meaning given: {line}"
