"""The publication's experiments: nothing is done twice in their plans, and all tables and figures
come out of a cut of them.
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from harness import ROOT, SIDE_BY_SIDE, Workflow

import benchmark_rows
from neft.config import loader, mask_uses, overlay
from neft.schema import Strict
from neft.workflow.params import plain
from neft.workflow.plan.tune import TunePlan

# The cut: one experiment of each kind, by what it is tested on, and the fewest methods that fill
# every table.
TESTED_ON = [
    ["same-en-fr", "same-en-zh"],
    ["ui-en-zh"],
    ["ui-en-zh", "dashboard-fr-zh"],
    ["papers-outcome"],
    ["mmlu"],
]
KEPT = [
    "full",
    "lora_40",
    "neft_3",
    "neft_9",
    "neft_9_early",
    "neft_6_trans",
    "neft_3_reversed_3",
    "neft_classes",
    "neft_union",
]
# Rules that need the network, or that the publication's experiments do not ask for.
ELSEWHERE = {"fetch_wheel", "fetch_hub", "install_comet", "predict_comet", "sum_gradients"} | {
    "weigh_trials",
    "read_activations",
}


def layered(name: str) -> dict[str, Any]:
    """A shipped configuration, laid over config.yaml."""
    return overlay.read([ROOT / "config.yaml", ROOT / f"configs/{name}.yaml"]).values


def jobs(output: str) -> list[tuple[str, dict[str, str]]]:
    """Rule and wildcards of every job of a dry run."""
    found = []
    for block in re.split(r"\n(?=(?:local)?(?:rule|checkpoint) \w+:\n)", output)[1:]:
        line = re.search(r"^    wildcards: (.*)$", block, re.M)
        wildcards = dict(pair.split("=", 1) for pair in line[1].split(", ")) if line else {}
        found.append((re.match(r"(?:local)?(?:rule|checkpoint) (\w+):", block)[1], wildcards))
    return found


def commands(output: str) -> dict[str, list[str]]:
    """The distinct `--spec` of every script that a dry run with printed commands would start."""
    found: dict[str, set[str]] = {}
    for script, command in re.findall(
        r"python scripts/(\S+)\.py (.*?) \|& tee ", output, re.DOTALL
    ):
        words = shlex.split(command.replace("\\\n", " "))
        found.setdefault(script, set()).add(words[words.index("--spec") + 1])
    return {script: sorted(specs) for script, specs in found.items()}


class Shipped(NamedTuple):
    """A shipped configuration and what its dry run says, in an empty copy of the project."""

    plan: TunePlan
    jobs: list[tuple[str, dict[str, str]]]
    specs: dict[str, list[str]]


@pytest.fixture(scope="module", params=["miniature", "paper"])
def shipped(request, tmp_path_factory) -> Shipped:
    if not (ROOT / f"configs/{request.param}.yaml").exists():
        pytest.skip(f"there is no configs/{request.param}.yaml")
    config = layered(request.param)
    output = (
        Workflow(tmp_path_factory.mktemp(request.param) / "neft", config)
        .snakemake("--dry-run", "--printshellcmds")
        .stdout
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # files of published values are named from there
        return Shipped(TunePlan(loader.load(config)), jobs(output), commands(output))


def test_every_planned_spec_is_one_that_its_script_reads(shipped):
    assert len(shipped.specs) > 20
    for script, specs in shipped.specs.items():
        module = importlib.import_module(f"scripts.{script.replace('/', '.')}")
        if script == "score/predict_comet":  # runs where pydantic is not installed
            continue
        read = getattr(module, "Spec", Strict)  # those without are given nothing
        for spec in specs:
            if spec != "<TBD>":  # follows from a search that is yet to run
                read.model_validate_json(spec)


def test_there_are_as_many_tuning_jobs_as_distinct_runs(shipped):
    plan, found, _ = shipped

    def what_decides(w: dict[str, str]) -> str:
        """Model, rows, method without its name, mask by what it is made from, seed: whatever could
        be trained twice.
        """
        dataset = plain(plan.config.datasets[w["dataset"]])
        use = mask_uses.of_method(plan.config, w["method"], w["dataset"])
        masks = (
            [
                (plain(plan.config.masks[one.mask]), one.dataset)
                for one in mask_uses.closure(plan.config, use)
            ]
            if use
            else []
        )
        rows = {key: value for key, value in dataset["splits"].items() if key != "test"}
        settings = plan.trial(w["method"], w["trial"])
        parts = [
            w["model"],
            dataset["task"],
            dataset["source"],
            dataset["filter"],
            rows,
            settings,
            masks,
            w["seed"],
        ]
        return json.dumps(parts, sort_keys=True)

    tunings = [what_decides(wildcards) for rule, wildcards in found if rule == "tune_model"]
    assert len(tunings) == len(set(tunings)) > 0


def test_one_probe_serves_all_budgets_of_a_data_set(shipped):
    found = shipped.jobs
    probes = [
        tuple(wildcards[key] for key in ("model", "dataset", "seed", "variant"))
        for rule, wildcards in found
        if rule == "train_probe"
    ]
    assert len(probes) == len(set(probes))
    masks = [wildcards for rule, wildcards in found if rule == "select_neurons"]
    assert len(masks) > 2 * len(probes)


def test_every_table_and_figure_of_the_publication_is_asked_for():
    plan = TunePlan(loader.load(layered("miniature")))
    assert list(plan.config.tables) == [f"table{number}" for number in range(1, 8)]
    assert {"figure3", "figure6", "figure7", "figure8"} == set(plan.config.figures)
    assert {"figure2", "figure4a", "figure4b"} == set(plan.config.analyses.ranks)


def cut(folder: Path, tiny_model: Path, tiny_pairs: Path) -> dict[str, Any]:
    """The miniature with a tiny model, tiny text, one experiment of each kind and the fewest
    methods that fill every table.
    """
    config = layered("miniature") | {"seeds": [1]}
    pairs = {"kind": "files", "paths": [str(tiny_pairs)]}
    columns = {
        "translation": {"source": "en", "target": "fr"},
        "summarization": {"document": "en", "summary": "fr"},
        "instruction": {"instruction": "en", "output": "fr"},
        "nli": {"first": "en", "second": "fr"},
    }
    for dataset in config["datasets"].values():
        kind = dataset["task"]["kind"]
        if kind == "mmlu":
            rows = benchmark_rows.write(
                folder / "mmlu.jsonl",
                benchmark_rows.questions(benchmark_rows.QUESTIONS),
                numbered=False,
            )
            dataset["source"], dataset["splits"] = (
                {"kind": "files", "paths": str(rows)},
                {"test": 5},
            )
            continue
        source = pairs | {"columns": columns[kind]}
        dataset["source"] = {"kind": "pairs", "of": source} if kind == "nli" else source
        dataset["filter"] = {}
        sizes = {"train": 16, "dev": 6, "test": 6, "skip": 16}
        dataset["splits"] = {"seed": 1} | {
            split: sizes[split] for split in dataset["splits"] if split in sizes
        }
    config["models"] = {
        name: {"source": {"kind": "files", "path": str(tiny_model)}, "dtype": "float32"}
        for name in config["models"]
    }
    config["probe"]["steps"] = 3
    config["training"] |= {"batch_size": 8, "evaluations": 2, "precision": "float32"}
    config["generation"]["max_new_tokens"] = 6
    config["analyses"]["utilization"]["rows"] = 4
    config["experiments"] = [
        e
        for e in config["experiments"]
        if e["test"] in TESTED_ON and e["train"] != "ui-en-zh-large"
    ]
    for experiment in config["experiments"]:
        wanted = ["full", "neft_union"] if "table3" in experiment.get("tables", []) else KEPT
        experiment["methods"] = [name for name in experiment["methods"] if name in wanted]
        experiment["test"], experiment["metrics"] = (
            experiment["test"][-1:],
            experiment["metrics"][:1],
        )
    config["experiments"][0]["metrics"].append("loss")
    table7 = config["tables"]["table7"]
    table7 |= {
        side: [name for name in table7[side] if name in KEPT] for side in ("rows", "columns")
    }
    config["tables"]["table6"]["overlaps"] = ["separated", "early"]
    config["analyses"]["overlaps"].pop("more")
    for overlaps in config["analyses"]["overlaps"].values():
        overlaps["pairs"] = overlaps["pairs"][:1]
    for ranks in config["analyses"]["ranks"].values():
        pairs_kept = [
            pair
            for pair in ranks["pairs"]
            if {pair["a"]["method"], pair["b"]["method"]} <= set(KEPT)
        ]
        ranks["pairs"] = pairs_kept[:2] or [{"a": {"method": "neft_9"}, "b": {"method": "neft_3"}}]
    for figure in config["figures"].values():
        key = "series" if figure["kind"] == "budgets" else "rows"
        lines = {
            name: [method for method in methods if method in KEPT]
            for name, methods in figure[key].items()
        }
        figure[key] = {name: methods for name, methods in lines.items() if methods}
    return config


@pytest.fixture(scope="module")
def finished_cut(tmp_path_factory, tiny_model, tiny_pairs) -> Workflow:
    folder = tmp_path_factory.mktemp("miniature")
    workflow = Workflow(folder / "neft", cut(folder, tiny_model, tiny_pairs))
    workflow.output = workflow.snakemake(*SIDE_BY_SIDE).stdout
    return workflow


def test_a_cut_of_the_miniature_runs_every_rule(finished_cut):
    ran = set(re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):", finished_cut.output, re.M))
    there = {
        rule
        for file in (ROOT / "rules").glob("*.smk")
        for rule in re.findall(r"^(?:rule|checkpoint) (\w+):", file.read_text(), re.M)
    }
    assert ran - {"all"} == there - ELSEWHERE


def test_every_job_reads_only_what_it_waits_for(finished_cut):
    """A job that reads what no rule names may come before it is written."""
    assert list((finished_cut.folder / ".reads").iterdir()), "nothing was watched"
    assert finished_cut.undeclared_reads() == set()


def test_every_table_comes_out_of_the_cut_in_every_format(finished_cut):
    tables = finished_cut.folder / "results/miniature/tables"
    for number in range(1, 8):
        for kind in ("csv", "md", "tex"):
            assert (tables / f"table{number}.{kind}").stat().st_size > 100, (number, kind)


def test_every_figure_comes_out_of_the_cut_as_png_and_pdf(finished_cut):
    figures = finished_cut.folder / "results/miniature/figures"
    names = [
        "ranks_figure2",
        "figure3",
        "ranks_figure4a",
        "ranks_figure4b",
        "categories_figure4a",
        "categories_figure4b",
    ]
    names += ["figure6", "figure7", "figure8"]
    names += [
        f"{figure}_smollm2-135m-instruct_ui-en-zh"
        for figure in ("neurons", "similarity", "scores", "losses", "costs")
    ]
    for name in names:
        assert (figures / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
        assert (figures / f"{name}.pdf").read_bytes().startswith(b"%PDF"), name


def test_a_second_run_of_the_cut_does_nothing(finished_cut):
    assert finished_cut.would_run() == set()


def test_a_table_alone_asks_for_its_own_trainings(finished_cut, tmp_path):
    workflow = Workflow(tmp_path / "neft", finished_cut.config)
    output = workflow.snakemake("results/miniature/tables/table5.md", "--dry-run").stdout
    tuned = {(w["dataset"], w["method"]) for rule, w in jobs(output) if rule == "tune_model"}
    assert tuned == {
        ("ui-en-zh", "full"),
        ("ui-en-zh", "neft_9"),
        ("ui-en-zh", "neft_9_early"),
        ("ui-en-zh-separated", "full"),
        ("ui-en-zh-separated", "neft_6_trans"),
    }
