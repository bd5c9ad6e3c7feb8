"""A whole run of the tiny workflow: what it leaves, how it fails, how it survives being killed."""

from __future__ import annotations

import copy
import csv
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import Workflow

import tiny
from neft.core.delta import Delta
from neft.core.mask import NeuronMask
from neft.results import provenance
from neft.storage.files import read_json, read_rows

METHODS = ["base", "full", "embed", "in_out", "lora", "neft", "neft_random", "neft_reversed"]


def results(workflow: Workflow) -> Path:
    return workflow.folder / "results/tiny"


def test_the_table_has_a_row_for_each_method_in_order(finished):
    with (results(finished) / "tables/main.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == METHODS


def test_the_mask_holds_its_share_of_all_parameters(finished):
    record = read_json(results(finished) / "model/tiny-llama.json")
    mask = NeuronMask.load(results(finished) / "mask/tiny-llama/pairs/seed1/low.safetensors")
    assert mask.count == round(0.09 * record["parameters"] / record["hidden_size"])


def test_of_a_grid_the_trial_with_the_lowest_dev_loss_is_used(finished):
    folder = results(finished) / "tune/tiny-llama/pairs/lora/seed1"
    losses = {
        trial: read_json(folder / trial / "metrics.json")["dev_loss"]
        for trial in ("lr0.01", "lr0.03")
    }
    best = min(losses, key=losses.get)
    assert read_json(folder / "chosen/metrics.json")["dev_loss"] == losses[best]
    assert (folder / "chosen/delta.safetensors").read_bytes() == (
        folder / best / "delta.safetensors"
    ).read_bytes()


def test_a_neft_delta_holds_the_masks_neurons_and_nothing_else(finished):
    delta = Delta.load(
        results(finished) / "tune/tiny-llama/pairs/neft/seed1/chosen/delta.safetensors"
    )
    mask = NeuronMask.load(results(finished) / "mask/tiny-llama/pairs/seed1/low.safetensors")
    assert delta.parameters == mask.parameters


def test_every_method_trained_on_the_same_rows(finished):
    folders = (results(finished) / "tune/tiny-llama/pairs").glob("*/seed1/chosen/metrics.json")
    metrics = [read_json(path) for path in folders]
    assert len(metrics) == len(METHODS) - 1
    for key in ("data_sha256", "train_tokens", "steps", "base_hash"):
        assert len({json.dumps(m[key]) for m in metrics}) == 1, key


def test_the_probe_is_deleted_once_it_was_compared(finished):
    assert not (results(finished) / "probe/tiny-llama/pairs/seed1/model").exists()
    assert (results(finished) / "probe/tiny-llama/pairs/seed1/history.jsonl").exists()


def test_no_checkpoint_stays_behind(finished):
    assert not list(results(finished).rglob("checkpoints*"))
    assert not list(results(finished).rglob("*.parts"))


def test_outputs_come_in_the_order_of_the_test_set(finished):
    rows = read_rows(results(finished) / "data/pairs/test.jsonl")
    outputs = read_rows(results(finished) / "generate/tiny-llama/pairs/neft/seed1/pairs.jsonl")
    assert [row["id"] for row in outputs] == [row["id"] for row in rows]


def test_every_job_leaves_a_log_and_a_benchmark(finished):
    for folder in (
        "data",
        "model",
        "probe",
        "similarity",
        "mask",
        "tune",
        "generate",
        "score",
        "compare",
        "tables",
        "figures",
    ):
        found = [path.name for path in (results(finished) / folder).rglob("*")]
        assert any(name.endswith(".log") for name in found), folder
        assert any(name.endswith("benchmark.tsv") for name in found), folder


def test_every_job_reads_only_what_it_waits_for(finished):
    assert list((finished.folder / ".reads").iterdir()), "nothing was watched"
    assert finished.undeclared_reads() == set()


def test_without_a_gpu_jobs_that_compute_have_all_cores_and_take_turns(finished):
    notes = provenance.notes(finished.folder / ".snakemake/metadata", "results/").values()
    computing = {
        str(note["log"]): note
        for note in notes
        if note["rule"] in ("train_probe", "tune_model", "generate_outputs")
    }
    times = sorted((note["starttime"], note["endtime"]) for note in computing.values())
    assert len(times) == 1 + 8 + 8
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(times)), (
        "two at once would share the cores"
    )
    metrics = (results(finished) / "tune").rglob("metrics.json")
    assert {read_json(path)["threads"] for path in metrics} == {len(os.sched_getaffinity(0))}


def test_provenance_names_versions_code_and_hashes(finished):
    record = read_json(results(finished) / "provenance.json")
    assert record["packages"]["torch"].startswith("2.13.0")
    assert record["spec"]["config"]["seeds"] == [1]
    model = read_json(results(finished) / "model/tiny-llama.json")
    assert model["base_hash"] in json.dumps(record["records"])
    assert any("mask/tiny-llama" in name for name in record["files"])


def test_a_mistake_in_the_configuration_ends_before_any_job(tmp_path, tiny_config):
    config = copy.deepcopy(tiny_config)
    config["methods"]["neft"]["mask"] = "lowest"
    result = Workflow(tmp_path / "neft", config).snakemake(check=False)
    assert result.returncode != 0
    assert re.search(
        r"config\.yaml:\d+: methods\.neft\.mask: unknown mask 'lowest' \(did you mean 'low'\?\);"
        r" available: low, high, random",
        result.stdout,
    )
    assert "rule " not in result.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("en\tfr\nOpen the file\tOuvrir\n\nClose it\tFermer\n", "pairs.tsv:3: "),
        ("en\tde\nOpen the file\tOuvrir\n", "column"),
        ("en\tfr\nOpen the file\tOuvrir le fichier\n", "1 rows, but 32 train"),
    ],
)
def test_a_bad_data_file_is_named_by_the_rule_that_reads_it(tmp_path, tiny_config, text, message):
    (tmp_path / "pairs.tsv").write_text(text)
    config = copy.deepcopy(tiny_config)
    config["datasets"]["pairs"]["source"]["paths"] = [str(tmp_path / "pairs.tsv")]
    result = Workflow(tmp_path / "neft", config).snakemake(
        "results/tiny/data/pairs/train.jsonl", check=False
    )
    assert result.returncode != 0
    assert "error: " in result.stdout
    assert message in result.stdout
    assert "Traceback" not in result.stdout


def test_a_budget_larger_than_the_modules_offer_is_named(tmp_path, tiny_config):
    config = copy.deepcopy(tiny_config)
    config["masks"]["random"]["fraction"] = 0.9
    target = "results/tiny/mask/tiny-llama/pairs/seed1/random.safetensors"
    result = Workflow(tmp_path / "neft", config).snakemake(target, check=False)
    assert result.returncode != 0
    assert re.search(r"error: .*0\.9 asks for .* neurons, but .* have ", result.stdout)


def kill_when(workflow: Workflow, target: str, sign: str, timeout: float = 240) -> None:
    """Start Snakemake and kill it and all its jobs (SIGKILL) as soon as a file of this pattern
    exists.
    """
    command = [sys.executable, "-m", "snakemake", target]
    process = subprocess.Popen(
        command,
        cwd=workflow.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + timeout
    while not list((workflow.folder / "results").glob(sign)):
        assert process.poll() is None, f"ended before there was a {sign}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    workflow.snakemake("--unlock")


def test_a_run_killed_while_it_probes_tunes_and_generates_ends_with_the_same_bytes(
    finished, tmp_path
):
    # Outputs long enough, one after the other, that there is a moment to kill their job in.
    long = {"generation": {"max_new_tokens": 96, "batch_size": 1}}
    workflow = Workflow(tmp_path / "neft", finished.config | long)
    target = "results/tiny/score/tiny-llama/pairs/neft/seed1/pairs/chrf.json"
    run = "tiny-llama/pairs/neft/seed1"
    kill_when(workflow, target, "tiny/probe/**/checkpoint*")
    kill_when(workflow, target, f"tiny/tune/{run}/lr0.01/checkpoints/*/*")
    kill_when(workflow, target, f"tiny/generate/{run}/*.parts")
    workflow.snakemake(target)
    trained = [
        "mask/tiny-llama/pairs/seed1/low.safetensors",
        f"tune/{run}/lr0.01/delta.safetensors",
    ]
    for name in trained:
        assert (results(workflow) / name).read_bytes() == (results(finished) / name).read_bytes(), (
            name
        )
    written = [
        results(workflow) / name
        for name in (f"generate/{run}/pairs.jsonl", f"score/{run}/pairs/chrf.json")
    ]
    killed = [path.read_bytes() for path in written]
    workflow.snakemake(target, "--forcerun", "generate_outputs")
    assert [path.read_bytes() for path in written] == killed


def test_a_pinned_hub_model_and_dataset_run_offline_from_the_cache(
    finished, tiny_model, tiny_pairs, tmp_path, monkeypatch
):
    revision, data_revision = "a" * 40, "b" * 40
    tiny.write_hub_cache(tmp_path / "hub", "models", "someone/tiny", revision, tiny_model)
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(tiny_pairs, data / "pairs.tsv")
    tiny.write_hub_cache(tmp_path / "hub", "datasets", "someone/pairs", data_revision, data)
    config = copy.deepcopy(finished.config)
    config["models"]["tiny-llama"]["source"] = {
        "kind": "hub",
        "repo": "someone/tiny",
        "revision": revision,
    }
    columns = {"source": "en", "target": "fr"}
    hub = {
        "kind": "hub",
        "repo": "someone/pairs",
        "revision": data_revision,
        "files": ["pairs.tsv"],
        "columns": columns,
    }
    config["datasets"]["pairs"]["source"] = hub
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    workflow = Workflow(tmp_path / "neft", config)
    workflow.snakemake("results/tiny/model/tiny-llama.json", "results/tiny/data/pairs/train.jsonl")
    assert read_rows(results(workflow) / "data/pairs/train.jsonl") == read_rows(
        results(finished) / "data/pairs/train.jsonl"
    )
    ours, theirs = (read_json(results(w) / "model/tiny-llama.json") for w in (workflow, finished))
    assert ours["base_hash"] == theirs["base_hash"]


def test_the_method_that_the_readme_adds_runs_its_own_chain_and_trains_the_norms(
    finished, tmp_path
):
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    code = next(
        block
        for block in re.findall(r"```python\n(.*?)```", readme, re.S)
        if 'Literal["norms"]' in block
    )
    workflow = Workflow(tmp_path / "neft", finished.config)
    shutil.copytree(finished.folder / "results", workflow.folder / "results")
    shutil.copytree(finished.folder / ".snakemake", workflow.folder / ".snakemake")
    (workflow.folder / "neft/training/methods/norms.py").write_text(code)
    assert workflow.would_run() == set()
    config = copy.deepcopy(finished.config)
    config["methods"]["norms"] = {"kind": "norms", "learning_rate": 1.0e-2}
    config["experiments"][0]["methods"].append("norms")
    workflow.configure(config)
    jobs = workflow.would_run()
    assert {job for job in jobs if job.startswith("tune_model")} == {"tune_model norms lr0.01"}
    folder = "results/tiny/tune/tiny-llama/pairs/norms/seed1/chosen"
    workflow.snakemake(f"{folder}/delta.safetensors")
    delta = Delta.load(workflow.folder / folder / "delta.safetensors")
    assert all("norm" in name for name in delta.tensors)


@pytest.mark.slow
def test_the_report_shows_in_a_browser(finished, tmp_path):
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium: tests/install-chromium.sh installs it where it may")
    finished.snakemake("--report", "report.html", "--report-stylesheet", "report/style.css")
    page = finished.folder / "report.html"
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-sync",
    ]
    command += [
        "--disable-component-update",
        "--no-first-run",
        "--disable-quic",
        f"--user-data-dir={tmp_path}",
    ]
    dom = subprocess.run(
        [*command, "--virtual-time-budget=10000", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    for text in ("Results", "Training", "Neurons", "Set-up", "Neuron-level fine-tuning"):
        assert text in dom, text
