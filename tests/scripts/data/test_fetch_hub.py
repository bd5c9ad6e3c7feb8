"""The hub's client reads its settings when it is imported, so these tests run the script as the
workflow does.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tiny

SCRIPT = Path(__file__).parents[3] / "scripts/data/fetch_hub.py"
REVISION = "0123456789abcdef0123456789abcdef01234567"


def fetch(tmp_path: Path, cache: Path, **spec) -> subprocess.CompletedProcess:
    spec = {
        "repo": "org/tiny",
        "revision": REVISION,
        "repo_type": "model",
        "patterns": ["*.json", "*.safetensors"],
    } | spec
    command = [
        sys.executable,
        SCRIPT,
        "--spec",
        json.dumps(spec),
        "--folder",
        tmp_path / "out",
        "--record",
        tmp_path / "out.json",
    ]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def cache(tiny_model, tiny_pairs, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    tiny.write_hub_cache(folder, "models", "org/tiny", REVISION, tiny_model)
    tiny.write_hub_cache(folder, "datasets", "org/pairs", REVISION, tiny_pairs.parent)
    return folder


def test_a_model_comes_out_of_the_cache_with_a_record(tmp_path, cache, tiny_model):
    result = fetch(tmp_path, cache)
    assert result.returncode == 0, result.stderr
    names = [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert not any(path.is_symlink() for path in (tmp_path / "out").iterdir())
    assert json.loads((tmp_path / "out.json").read_text()) == {
        "repo": "org/tiny",
        "revision": REVISION,
        "repo_type": "model",
        "files": {
            name: hashlib.sha256((tiny_model / name).read_bytes()).hexdigest() for name in names
        },
    }


def test_a_dataset_comes_out_of_the_cache(tmp_path, cache, tiny_pairs):
    result = fetch(tmp_path, cache, repo="org/pairs", repo_type="dataset", patterns=["*.tsv"])
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "pairs.tsv").read_bytes() == tiny_pairs.read_bytes()


def test_what_is_not_in_the_cache_says_how_to_get_it_there(tmp_path, cache):
    result = fetch(tmp_path, cache, repo="org/other")
    assert result.returncode == 1
    assert result.stderr.startswith(
        "error: model org/other at 0123456789ab: not in the cache and the hub can't be reached: "
    )
    assert f"\n  hf download org/other --repo-type model --revision {REVISION}\n" in result.stderr
    assert not (tmp_path / "out").exists()


def test_patterns_that_match_nothing_are_an_error(tmp_path, cache):
    result = fetch(tmp_path, cache, repo="org/pairs", repo_type="dataset", patterns=["*.parquet"])
    assert result.returncode == 1
    assert result.stderr == "error: dataset org/pairs at 0123456789ab: no file matches *.parquet\n"


def test_a_revision_that_is_yet_to_be_filled_in_is_refused_with_what_to_do(tmp_path, cache):
    result = fetch(tmp_path, cache, revision="0" * 40)
    assert result.returncode == 1
    assert (
        "model org/tiny: `revision` is forty zeros" in result.stderr
        and "Traceback" not in result.stderr
    )
