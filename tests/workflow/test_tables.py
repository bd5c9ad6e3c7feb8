"""Tables of the publication in a real workflow: what they add, and what another seed adds."""

from __future__ import annotations

import copy
import csv
import re
import shutil

import pytest
from harness import SIDE_BY_SIDE, Workflow

METHODS = ["full", "embed", "in_out", "lora", "neft", "neft_random", "neft_reversed"]
FORMATS = ("csv", "md", "tex", "html")
TABLES = {
    "scores": {"kind": "scores", "title": "Scores", "published": "published.csv"},
    "duels": {
        "kind": "duels",
        "title": "Duels",
        "rows": ["lora", "in_out"],
        "columns": ["neft", "full"],
    },
}
# Everything below any run. Neurons and similarity are drawn of the first seed.
REPORT = {
    "make_table",
    "summarize_claims",
    "show_samples",
    "show_config",
    "record_provenance",
    "plot_scores",
    "plot_costs",
}
REPORT |= {"plot_losses", "make_paper_table scores", "make_paper_table duels"}


@pytest.fixture(scope="module")
def workflow(finished, tmp_path_factory) -> Workflow:
    """A copy of the finished workflow whose configuration asks for tables as well."""
    workflow = Workflow(tmp_path_factory.mktemp("tables") / "neft", copy.deepcopy(finished.config))
    for part in ("results", ".snakemake"):
        shutil.copytree(finished.folder / part, workflow.folder / part)
    header = "model,train,test,method,metric,value,version,suspect,note\n"
    (workflow.folder / "published.csv").write_text(
        header + "tiny-llama,pairs,pairs,neft,bleu,28.69,coling,copy,twice\n"
    )
    experiment = workflow.config["experiments"][0] | {"tables": list(TABLES)}
    workflow.configure(workflow.config | {"tables": TABLES, "experiments": [experiment]})
    return workflow


def jobs(workflow: Workflow, *arguments: str) -> set[str]:
    """The jobs of a dry run: rule, then seed, method, trial, mask and so on."""
    telling = ("seed", "method", "trial", "mask", "metric", "table")
    found = set()
    for block in re.split(
        r"\n(?=(?:local)?(?:rule|checkpoint) \w+:\n)",
        workflow.snakemake("--dry-run", *arguments).stdout,
    )[1:]:
        line = re.search(r"^    wildcards: (.*)$", block, re.M)
        wildcards = dict(pair.split("=", 1) for pair in line[1].split(", ")) if line else {}
        names = [wildcards[key] for key in telling if wildcards.get(key)]
        found.add(" ".join([re.match(r"(?:local)?(?:rule|checkpoint) (\w+):", block)[1], *names]))
    return found - {"all"}


def test_tables_are_made_from_what_is_there_and_seeds_add_their_own_jobs(workflow):
    new = {"compare_methods bleu", "compare_methods chrf"} | {
        "make_paper_table scores",
        "make_paper_table duels",
    }
    assert jobs(workflow) == new | {"make_table", "summarize_claims"} | {
        "show_config",
        "record_provenance",
    }
    workflow.snakemake(*SIDE_BY_SIDE)
    assert jobs(workflow) == set()
    check_tables(workflow)

    added = {"train_probe 2", "compare_neurons 2"} | {
        f"select_neurons 2 {mask}" for mask in ("low", "high", "random")
    }
    for method in METHODS:
        added |= {
            f"tune_model 2 {method} {trial}"
            for trial in (["lr0.01", "lr0.03"] if method == "lora" else ["lr0.01"])
        }
        added |= {f"choose_trial 2 {method}", f"generate_outputs 2 {method}"}
        added |= {f"score_outputs 2 {method} {metric}" for metric in ("bleu", "chrf")}
    added |= {"compare_methods bleu", "compare_methods chrf"}
    assert jobs(workflow, "--config", "seeds=[1,2]") == added | REPORT


def check_tables(workflow):
    folder = workflow.folder / "results/tiny"
    assert all((folder / f"tables/{name}.{kind}").exists() for name in TABLES for kind in FORMATS)
    with (folder / "tables/scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows[::2]] == ["base", *METHODS]
    found = {(row["method"], row["metric"]): row for row in rows}
    assert (found["neft", "bleu"]["published"], found["neft", "bleu"]["suspect"]) == (
        "28.69",
        "copy",
    )
    assert found["lora", "bleu"]["trials"] == "2"
    assert "not the same number for all methods" in (folder / "tables/scores.md").read_text()
    with (folder / "tables/duels.csv").open(newline="") as file:
        assert {(row["row"], row["column"], row["metric"]) for row in csv.DictReader(file)} == {
            (row, column, metric)
            for row in ("lora", "in_out")
            for column in ("neft", "full")
            for metric in ("bleu", "chrf")
        }
    summary = (folder / "summary.md").read_text()
    assert "There is one seed, so nothing can be said of methods" in summary
    assert "an early step" not in summary, "no method here tests that claim"
    assert "| neft less neft\\_random |" in summary
