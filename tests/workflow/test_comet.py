"""COMET through the workflow's own rules: its environment is built, a tiny real model trained
offline, translations scored.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import ROOT, Workflow

import tiny
from neft.results import comparisons
from neft.storage.files import read_json, sha256, write_rows
from tiny_comet import corrupt

pytestmark = pytest.mark.slow
SHARES = {"full": 0.0, "neft": 0.2, "base": 0.7}


@pytest.fixture(scope="module")
def environment() -> Path:
    """COMET's environment in the checkout, built by the rule where it isn't there yet."""
    command = [sys.executable, "-m", "snakemake", ".venv-comet/ready"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=850)
    return ROOT / ".venv-comet"


@pytest.fixture(scope="module")
def trained(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny COMET model."""
    folder = tmp_path_factory.mktemp("comet")
    command = [
        str(environment / "venv/bin/python"),
        str(ROOT / "tests/helpers/tiny_comet.py"),
        str(folder),
    ]
    subprocess.run(command, check=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def scored(
    environment: Path, trained: Path, tiny_config: dict, tmp_path_factory: pytest.TempPathFactory
) -> Workflow:
    """Three methods with outputs of known quality, scored and compared by the workflow."""
    config = copy.deepcopy(tiny_config)
    checkpoint = next(trained.rglob("*.ckpt"))
    comet = {
        "kind": "comet",
        "checkpoint": str(checkpoint),
        "encoder": str(trained / "encoder"),
        "bootstrap": 200,
    }
    config["metrics"] = {"comet": comet}
    config["experiments"][0] |= {"methods": list(SHARES), "metrics": ["comet"]}
    config["datasets"]["pairs"]["task"]["target_language"] = "mi"
    workflow = Workflow(tmp_path_factory.mktemp("scored") / "neft", config)
    (workflow.folder / ".venv-comet").symlink_to(environment)
    for method, share in SHARES.items():
        pick = random.Random(5)
        outputs = [corrupt(target, share, pick) for _, target in tiny.pairs()]
        path = workflow.folder / f"results/tiny/generate/{run(method)}/pairs.jsonl"
        path.parent.mkdir(parents=True)
        sources, references = zip(*tiny.pairs(), strict=True)
        write_rows(path, tiny.output_rows(outputs, references, sources))
    targets = [f"results/tiny/score/{run(method)}/pairs/comet.json" for method in SHARES]
    # The outputs are given: nothing above them is to be made.
    rules = ["install_comet", "predict_comet", "score_outputs", "compare_methods"]
    targets.append("results/tiny/compare/tiny-llama/pairs/pairs/comet.json")
    result = workflow.snakemake(*targets, "--allowed-rules", *rules)
    assert all((workflow.folder / target).exists() for target in targets), result.stdout
    return workflow


def run(method: str) -> str:
    return (
        "tiny-llama/untuned/base/seed0" if method == "base" else f"tiny-llama/pairs/{method}/seed1"
    )


def test_better_translations_score_higher(scored):
    values = {
        m: read_json(scored.folder / f"results/tiny/score/{run(m)}/pairs/comet.json")["value"]
        for m in SHARES
    }
    assert values["full"] > values["neft"] + 10 > values["base"] + 30
    assert 80 < values["full"] < 120


def test_a_score_has_interval_standard_error_and_the_models_hash_and_flags_a_language_that_the_encoder_lacks(
    scored, trained
):
    score = read_json(scored.folder / f"results/tiny/score/{run('neft')}/pairs/comet.json")
    assert score["low"] < score["value"] < score["high"] and 0 < score["standard_error"] < 5
    digest = sha256(next(trained.rglob("*.ckpt")))
    assert (
        score["signature"]
        == f"comet:2.2.7|model:sha256:{digest[:12]}|empty:0|mean|bs:200|seed:12345"
    )
    assert len(score["segments"]) == 60
    assert "not trained on the language mi" in score["notes"][0]


def test_a_clear_difference_is_significant(scored):
    found = comparisons.load(
        scored.folder / "results/tiny", "tiny-llama", "pairs", "pairs", "comet"
    ).of("base", "full")
    # The smallest p that 10,000 random swaps can give; `bootstrap` is for the interval alone.
    assert found.p == pytest.approx(1 / 10_001)
    assert found.difference.high < 0


def test_an_environment_that_is_there_is_not_built_again(environment, scored):
    before = (environment / "venv/pyvenv.cfg").stat().st_mtime_ns
    scored.snakemake(".venv-comet/ready", "--force")
    assert (environment / "venv/pyvenv.cfg").stat().st_mtime_ns == before
    assert (environment / "ready").read_text() == sha256(ROOT / "envs/comet.txt")


def test_the_resamples_are_not_what_the_segments_depend_on(scored):
    config = copy.deepcopy(scored.config)
    config["metrics"]["comet"]["bootstrap"] = 300
    before = scored.config
    scored.configure(config)
    jobs = scored.would_run(
        f"results/tiny/score/{run('neft')}/pairs/comet.json",
        "--allowed-rules",
        "predict_comet",
        "score_outputs",
    )
    scored.configure(before)
    assert jobs == {"score_outputs neft comet"}


def test_a_pinned_hub_model_and_encoder_score_the_same_offline(
    environment, trained, scored, tmp_path, monkeypatch
):
    revisions = {"someone/comet": "a" * 40, "someone/xlmr": "b" * 40}
    model = tmp_path / "model"
    (model / "checkpoints").mkdir(parents=True)
    shutil.copy(next(trained.rglob("*.ckpt")), model / "checkpoints/model.ckpt")
    shutil.copy(trained / "lightning_logs/version_0/hparams.yaml", model)
    for (repo, revision), folder in zip(
        revisions.items(), (model, trained / "encoder"), strict=True
    ):
        tiny.write_hub_cache(tmp_path / "hub", "models", repo, revision, folder)
    config = copy.deepcopy(scored.config)
    hub = {
        "model": "someone/comet",
        "revision": "a" * 40,
        "encoder": "someone/xlmr",
        "encoder_revision": "b" * 40,
    }
    config["metrics"]["comet"] = {"kind": "comet", "bootstrap": 200} | hub
    workflow = Workflow(tmp_path / "neft", config)
    (workflow.folder / ".venv-comet").symlink_to(environment)
    shutil.copytree(
        scored.folder / "results/tiny/generate", workflow.folder / "results/tiny/generate"
    )
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    target = f"results/tiny/score/{run('neft')}/pairs/comet.json"
    workflow.snakemake(
        target, "--allowed-rules", "fetch_hub", "install_comet", "predict_comet", "score_outputs"
    )
    ours, local = (read_json(w.folder / target) for w in (workflow, scored))
    assert ours["segments"] == local["segments"]
    assert f"model:someone/comet@{'a' * 40}|" in ours["signature"]


def test_a_checkpoint_that_holds_more_than_numbers_is_refused_until_its_hash_is_given(
    environment, trained, tmp_path
):
    folder = tmp_path / "version_0"
    (folder / "checkpoints").mkdir(parents=True)
    shutil.copy(trained / "lightning_logs/version_0/hparams.yaml", folder)
    code = """
import collections, sys, torch
saved = torch.load(sys.argv[1], weights_only=True)
saved["extra"] = collections.UserDict  # a class: harmless, but no number
torch.save(saved, sys.argv[2])
"""
    checkpoint = folder / "checkpoints/model.ckpt"
    python = str(environment / "venv/bin/python")
    subprocess.run(
        [python, "-c", code, str(next(trained.rglob("*.ckpt"))), str(checkpoint)], check=True
    )
    rows = tiny.output_rows(["Ouvrir"], ["Ouvrir"], ["Open"])
    digest = sha256(checkpoint)
    refused = predict(environment, folder, tmp_path, rows, trained / "encoder")
    assert refused.returncode != 0 and f"add `sha256: {digest}`" in refused.stderr
    trusted = predict(environment, folder, tmp_path, rows, trained / "encoder", trust=digest)
    assert trusted.returncode == 0, trusted.stderr


def test_a_model_with_another_encoder_is_refused(environment, trained, tmp_path):
    """A deeper encoder would get random layers."""
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    for file in (trained / "encoder").iterdir():
        text = file.read_bytes()
        (encoder / file.name).write_bytes(
            text.replace(b'"num_hidden_layers": 2', b'"num_hidden_layers": 3')
        )
    rows = tiny.output_rows(["Ouvrir"], ["Ouvrir"], ["Open"])
    result = predict(environment, trained, tmp_path, rows, encoder)
    assert (
        "error: " in result.stderr
        and "no weights for encoder.model.encoder.layer.2" in result.stderr
    )


def test_a_file_without_an_output_is_not_scored_by_the_model_but_as_0(
    environment, trained, tmp_path
):
    result = predict(
        environment,
        trained,
        tmp_path,
        tiny.output_rows(["", " "], ["Ouvrir"] * 2, ["Open"] * 2),
        trained / "encoder",
    )
    assert result.returncode == 0, result.stderr
    record = read_json(tmp_path / "segments.json")
    assert record["segments"] == [0, 0] and record["empty"] == 2


def predict(
    environment: Path,
    trained: Path,
    folder: Path,
    rows: list[dict],
    encoder: Path,
    trust: str | None = None,
) -> subprocess.CompletedProcess[str]:
    write_rows(folder / "outputs.jsonl", rows)
    python = str(environment / "venv/bin/python")
    paths = [
        "--outputs",
        str(folder / "outputs.jsonl"),
        "--checkpoint",
        str(next(trained.rglob("*.ckpt"))),
    ]
    options = [
        "--spec",
        json.dumps({"model": None, "sha256": trust, "batch_size": 4}),
        *paths,
        "--encoder",
        str(encoder),
    ]
    command = [
        python,
        str(ROOT / "scripts/score/predict_comet.py"),
        *options,
        "--segments",
        str(folder / "segments.json"),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)
