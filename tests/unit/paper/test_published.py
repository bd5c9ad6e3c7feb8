"""Published values: read as they are, joined by the names of the full-scale configuration, doubts
marked.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from neft.config import loader
from neft.errors import NeftError
from neft.paper import published
from neft.workflow.plan.runs import RunPlan

ROOT = Path(__file__).resolve().parents[3]
KEYS = ("model", "train", "test", "method", "metric")


@pytest.fixture(scope="module")
def paper():
    """The full-scale configuration as Snakemake reads it, laid over config.yaml."""
    shipped, paper = (
        yaml.safe_load((ROOT / name).read_text()) for name in ("config.yaml", "configs/paper.yaml")
    )
    for key, value in paper.items():
        shipped[key] = shipped[key] | value if isinstance(value, dict) and key in shipped else value
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return RunPlan(loader.load(shipped, "paper.yaml"))


@pytest.mark.parametrize("table", ["table1", "table2", "table3", "table4", "table5", "table7"])
def test_every_published_score_stands_beside_a_cell_of_its_table(paper, table):
    experiments = [
        experiment for experiment in paper.config.experiments if table in experiment.tables
    ]
    ours = {
        (r.model, r.dataset, r.test, r.method, metric)
        for r in paper.of(experiments)
        for metric in r.metrics
    }
    theirs = published.read(ROOT / paper.config.tables[table].published, KEYS)
    assert theirs and set(theirs) <= ours


def test_every_published_overlap_stands_beside_a_pair_of_masks(paper):
    blocks = paper.config.analyses.overlaps
    ours = {
        (block.model, name, pair.a.mask) for name, block in blocks.items() for pair in block.pairs
    }
    assert (
        set(
            published.read(
                ROOT / paper.config.tables["table6"].published, ("model", "overlap", "mask")
            )
        )
        == ours
    )


def test_the_last_version_counts_and_the_first_stands_in_for_it():
    table7 = published.read(ROOT / "configs/paper-results/table7.csv", KEYS)
    assert {value.version for value in table7.values()} == {"coling", "v1"}
    place = ("llama-2-7b-chat", "news-en-zh-20k", "flores-en-zh")
    assert table7[*place, "neft_9", "bleu"] == (28.69, "coling", "", "")
    assert table7[*place[:2], "flores-hi-zh", "lora_8", "bleu"].version == "v1"


def test_shares_are_brought_to_the_scale_of_our_scores():
    for file in sorted((ROOT / "configs/paper-results").glob("*.csv")):
        with file.open(newline="") as rows:
            assert all(0 <= float(row["value"]) <= 100 for row in csv.DictReader(rows))
    table4 = published.read(ROOT / "configs/paper-results/table4.csv", KEYS)
    assert (
        table4["mistral-7b-v0.1", "alpaca", "ifeval", "neft_9_percent", "ifeval_strict"].value
        == 26.2
    )


def test_every_kind_of_doubt_is_explained_in_the_readme():
    text = (ROOT / "configs/paper-results/README.md").read_text()
    assert all(f"`{doubt}`" in text for doubt in published.DOUBTS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "test,value,version,suspect\nx,1,coling,\n",
            "no column 'note'; there are: test, value, version, suspect",
        ),
        (
            "test,value,version,suspect,note\nx,many,coling,,\n",
            "value: expected a number, got 'many'",
        ),
        (
            "test,value,version,suspect,note\nx,1,coling,maybe,\n",
            "suspect: one of copy, odd, reading or nothing, got 'maybe'",
        ),
    ],
)
def test_a_file_that_cannot_be_joined_is_refused_with_its_name(tmp_path, text, message):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(NeftError, match=str(tmp_path / "p.csv")) as error:
        published.read(tmp_path / "p.csv", ("test",))
    assert message in str(error.value)


def test_without_a_file_there_are_no_values():
    assert published.read(None, KEYS) == {}


def test_a_value_in_doubt_is_marked_and_its_mark_explained():
    value = published.Value(22.77, "v1", "copy", "twice")
    assert published.cell(value).whole == "22.8† (v1)"
    assert published.cell(None).whole == "–"
    assert [term for term, _ in published.notes([value])] == ["Published", "†"]
