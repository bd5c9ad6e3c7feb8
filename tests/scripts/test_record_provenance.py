from __future__ import annotations

import hashlib
import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import record_provenance


def record(tmp_path, *paths, **spec):
    target = tmp_path / "provenance.json"
    record_provenance.main(["--spec", json.dumps(spec), "--records", *map(str, paths), "--provenance", str(target)])
    return json.loads(target.read_text(encoding="utf-8"))


def test_json_records_are_copied_and_other_files_hashed(tmp_path):
    (tmp_path / "model.json").write_text('{"base_hash": "abc"}', encoding="utf-8")
    (tmp_path / "mask.safetensors").write_bytes(b"mask")
    result = record(tmp_path, tmp_path / "model.json", tmp_path / "mask.safetensors")
    assert result["records"] == {str(tmp_path / "model.json"): {"base_hash": "abc"}}
    assert result["files"] == {str(tmp_path / "mask.safetensors"): {"sha256": hashlib.sha256(b"mask").hexdigest(), "bytes": 4}}


def test_packages_have_the_versions_that_are_installed(tmp_path):
    packages = record(tmp_path)["packages"]
    assert packages["sacrebleu"] == version("sacrebleu") and packages["matplotlib"] == version("matplotlib")


def test_the_spec_is_kept_as_it_came(tmp_path):
    assert record(tmp_path, config_sha256="abc", code={"tune_model": "f00"})["spec"] == {
        "config_sha256": "abc",
        "code": {"tune_model": "f00"},
    }


def test_the_machine_and_the_time_are_named(tmp_path):
    result = record(tmp_path)
    assert result["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert result["machine"]["memory_bytes"] > 2**20 and result["machine"]["cpu"]
    assert datetime.now(UTC) - datetime.fromisoformat(result["time"]) < timedelta(minutes=5)


def test_a_checkout_gives_its_commit_and_whether_files_differ_from_it(tmp_path):
    def git(*command):
        names = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *names, *command], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1", encoding="utf-8")
    git("add", "a")
    git("commit", "-m", "a")
    clean = record_provenance.git(tmp_path)
    assert len(clean["commit"]) == 40 and clean["changed"] is False
    (tmp_path / "a").write_text("2", encoding="utf-8")
    assert record_provenance.git(tmp_path) == clean | {"changed": True}


def test_outside_a_checkout_there_is_no_commit(tmp_path):
    assert record_provenance.git(tmp_path) is None
