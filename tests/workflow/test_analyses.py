"""The analyses that a configuration asks for: exactly their jobs, and what they leave."""

from __future__ import annotations

import copy
import csv
import shutil

import pytest
from harness import SIDE_BY_SIDE, Workflow

from neft.analysis.neuron_arrays import load_mask, load_utilization
from neft.storage.files import read_json

ANALYSES = {
    "utilization": {"rows": 4, "memory": 8},
    "ranks": {
        "settings": {
            "model": "tiny-llama",
            "dataset": "pairs",
            "pairs": [
                {"a": {"method": "base"}, "b": {"method": "neft"}},
                {"a": {"method": "neft"}, "b": {"method": "neft_reversed"}},
            ],
            "buckets": [10, 50],
            "strong": {"neurons": 2},
        }
    },
    "overlaps": {
        "masks": {
            "model": "tiny-llama",
            "dataset": "pairs",
            "pairs": [
                {"a": {"mask": "low"}, "b": {"mask": "random"}},
                {"a": {"mask": "low"}, "b": {"mask": "high"}},
            ],
        }
    },
}
TABLES = {"compare_ranks", "count_categories", "plot_ranks", "plot_categories"}
PAGES = {"show_config", "record_provenance"}
RANKINGS = {f"rank_neurons {method}" for method in ("base", "neft", "neft_reversed")}


@pytest.fixture(scope="module")
def analysed(finished, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A copy of the finished workflow whose configuration asks for analyses."""
    workflow = Workflow(
        tmp_path_factory.mktemp("analysed") / "neft", copy.deepcopy(finished.config)
    )
    for part in ("results", ".snakemake"):
        shutil.copytree(finished.folder / part, workflow.folder / part)
    assert workflow.would_run() == set()
    workflow.configure(workflow.config | {"analyses": ANALYSES})
    return workflow


def changed(workflow: Workflow, block: str, **values) -> set[str]:
    """What would run if some keys of a block of `analyses` were others; the configuration is put
    back.
    """
    before = copy.deepcopy(workflow.config)
    place = workflow.config["analyses"]
    for step in block.split("."):
        place = place[step]
    place |= values
    workflow.configure(workflow.config)
    jobs = workflow.would_run()
    workflow.configure(before)
    return jobs


def test_analyses_run_their_own_jobs_once_and_each_setting_only_what_it_decides(
    analysed: Workflow,
) -> None:
    assert analysed.would_run() == RANKINGS | TABLES | {"overlap_masks", "summarize_claims"} | PAGES
    analysed.snakemake(*SIDE_BY_SIDE)
    assert analysed.would_run() == set()
    assert (
        changed(analysed, "ranks.settings", strong={"fraction": 0.2})
        == {"count_categories", "plot_categories"} | PAGES
    )
    assert (
        changed(analysed, "ranks.settings", buckets=[50]) == {"compare_ranks", "plot_ranks"} | PAGES
    )
    assert changed(analysed, "utilization", rows=3) == RANKINGS | TABLES | PAGES
    assert changed(analysed, "utilization", memory=16) == PAGES

    root = analysed.folder / "results/tiny"
    ranking = load_utilization(root / "rank/tiny-llama/pairs/neft/seed1/pairs.safetensors")
    mask = load_mask(root / "mask/tiny-llama/pairs/seed1/low.safetensors")
    for key, chosen in mask.chosen.items():
        assert ranking.trained[key].nonzero()[0].tolist() == chosen.tolist()
    categories = read_json(root / "tables/categories_settings.json")
    assert categories["neurons"] == 256 and [pair["a"] for pair in categories["pairs"]] == [
        "base",
        "neft",
    ]
    assert all(
        pair["strong"] >= max(pair["suppressed"], pair["indirect"]) for pair in categories["pairs"]
    )
    assert read_json(root / "tables/ranks_settings.json")["pairs"][0]["mean"] > 0
    with (root / "tables/overlap_masks.csv").open(newline="") as file:
        assert [(row["a"], row["b"], row["seed"]) for row in csv.DictReader(file)] == [
            ("low", "random", "1"),
            ("low", "high", "1"),
        ]
    for name in ("ranks_settings", "categories_settings"):
        assert (root / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")
