"""Mistakes in named figures are found with the configuration."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from neft.config import loader
from neft.errors import NeftError

SHIPPED = yaml.safe_load((Path(__file__).resolve().parents[3] / "config.yaml").read_text())
MODEL = "smollm2-135m-instruct"
LOSSES = {"kind": "losses", "model": MODEL, "train": "ui-en-fr", "rows": {"both": ["full", "neft"]}}
BUDGETS = {
    "kind": "budgets",
    "model": MODEL,
    "train": ["ui-en-fr"],
    "metric": "chrf",
    "series": {"LoRA": ["lora"]},
}


def load(**values):
    found = copy.deepcopy(SHIPPED) | {"figures": {"one": values}}
    # A method that no experiment names, and a data set that nothing is tested on.
    found["methods"]["lora_8"] = {"kind": "lora", "rank": 8, "learning_rate": 1e-3}
    found["datasets"]["other"] = found["datasets"]["ui-en-fr"]
    found["metrics"]["rouge"] = {"kind": "rouge"}
    return loader.load(found)


def test_right_figures_pass():
    assert load(**LOSSES).figures["one"].kind == "losses"
    assert load(**BUDGETS, test=["ui-en-fr"]).figures["one"].test == ("ui-en-fr",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            LOSSES | {"kind": "loss"},
            (
                "figures.one.kind: unknown kind 'loss' (did you mean 'losses'?); available:"
                " budgets, losses"
            ),
        ),
        (LOSSES | {"model": "llama"}, "figures.one.model: unknown model 'llama'"),
        (LOSSES | {"train": "ui-en-de"}, "figures.one.train: unknown dataset 'ui-en-de'"),
        (
            LOSSES | {"rows": {"a": ["nft"]}},
            "figures.one.rows.a: unknown method 'nft' (did you mean 'neft'?)",
        ),
        (LOSSES | {"rows": {"a": ["base"]}}, "figures.one.rows.a: 'base' is the untuned model"),
        (
            LOSSES | {"rows": {"a": ["lora_8"]}},
            f"figures.one.rows.a: no experiment tunes 'lora_8' on ui-en-fr with {MODEL}",
        ),
        (
            LOSSES | {"train": "other"},
            f"figures.one.rows.both: no experiment tunes 'full' on other with {MODEL}",
        ),
        (
            BUDGETS | {"metric": "blue"},
            "figures.one.metric: unknown metric 'blue' (did you mean 'bleu'?)",
        ),
        (
            BUDGETS | {"metric": "rouge"},
            "figures.one.series: on no test set do experiments score all of these methods",
        ),
        (
            BUDGETS | {"test": ["other"]},
            "figures.one.test: no experiment scores 'lora', tuned on ui-en-fr, on other by chrf",
        ),
        (BUDGETS | {"series": {}}, "figures.one.series: "),
    ],
)
def test_a_mistake_is_named(values, message):
    with pytest.raises(NeftError) as error:
        load(**values)
    assert message in str(error.value)
