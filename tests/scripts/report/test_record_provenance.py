from __future__ import annotations

import json
import os
import subprocess
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest

from neft.errors import NeftError
from neft.storage import files
from scripts.report import record_provenance

DELTA = "results/x/tune/m/d/lora/seed1/chosen/delta.safetensors"
OUTPUTS, SCORE = (
    "results/x/generate/m/d/lora/seed1/t.jsonl",
    "results/x/score/m/d/lora/seed1/t/chrf.json",
)


@pytest.fixture
def workflow(tmp_path, monkeypatch):
    """A folder with the files of one run and Snakemake's notes on them."""
    monkeypatch.chdir(tmp_path)
    note("choose_trial", [], DELTA, "delta")
    files.write_json(Path(DELTA).with_name("delta.json"), {"sha256": "as recorded"})
    note("generate_outputs", [DELTA], OUTPUTS, "{}")
    note("score_outputs", [OUTPUTS], SCORE, '{"value": 1}')
    note("make_table", [SCORE], "results/x/tables/main.csv", "chrf")
    return tmp_path


def note(rule: str, inputs: list[str], output: str, content: str, ended: float = 1.0) -> None:
    files.write_text(output, content)
    params = [repr("0123456789abcdef"), repr(json.dumps({"of": rule}))]
    record = {"rule": rule, "input": inputs, "params": params, "log": [f"{output}.log"]}
    record["endtime"] = ended
    files.write_json(
        Path(".snakemake/metadata", urlsafe_b64encode(output.encode()).decode()), record
    )


def record(**config):
    options = ["--results", "results/x", "--provenance", "results/x/provenance.json"]
    record_provenance.main(["--spec", json.dumps({"config": config}), *options])
    return files.read_json("results/x/provenance.json")


def test_records_are_copied(workflow):
    delta = str(Path(DELTA).with_name("delta.json"))
    assert record()["records"] == {delta: {"sha256": "as recorded"}, SCORE: {"value": 1}}
    assert record()["records"].keys() == {delta, SCORE}, "what it wrote itself is no record"


def test_every_job_has_its_rule_spec_code_inputs_and_outputs_and_every_file_its_hash(workflow):
    result = record()
    score = next(job for job in result["jobs"] if job["rule"] == "score_outputs")
    code = {"spec": {"of": "score_outputs"}, "code": "0123456789abcdef"}
    files_of = {"inputs": [OUTPUTS], "outputs": [SCORE]}
    assert score == {"rule": "score_outputs", **code, **files_of, "ended": 1.0}
    assert result["files"][SCORE] == {"sha256": files.sha256(SCORE), "bytes": 12}
    assert {job["rule"] for job in result["jobs"]} == {
        "choose_trial",
        "generate_outputs",
        "score_outputs",
        "make_table",
    }


def test_a_delta_is_not_read_again_but_told_by_its_record(workflow):
    assert record()["files"][DELTA] == {"sha256": "as recorded", "bytes": 5}


def test_a_result_has_a_record_of_what_it_comes_from_and_nothing_else(workflow):
    record()
    of_score = files.read_json("results/x/score/m/d/lora/seed1/t.provenance.json")
    assert {job["rule"] for job in of_score["jobs"]} == {
        "choose_trial",
        "generate_outputs",
        "score_outputs",
    }
    assert of_score["files"].keys() == {DELTA, OUTPUTS, SCORE}
    of_delta = files.read_json(Path(DELTA).with_name("provenance.json"))
    assert [job["rule"] for job in of_delta["jobs"]] == ["choose_trial"]


def test_where_snakemake_kept_no_notes_the_files_of_runs_are_hashed_all_the_same(workflow):
    (workflow / ".snakemake").rename(workflow / "gone")
    assert record()["files"][SCORE]["sha256"] == files.sha256(SCORE)


def test_a_file_that_was_changed_though_its_job_did_not_run_is_not_recorded(workflow):
    record()
    Path(SCORE).write_text('{"value": 2}')
    with pytest.raises(NeftError, match=f"changed since its job ended: {SCORE}"):
        record()


def test_a_file_whose_job_ran_again_is_recorded_anew(workflow):
    record()
    note("score_outputs", [OUTPUTS], SCORE, '{"value": 2}', ended=2.0)
    assert record()["files"][SCORE]["sha256"] == files.sha256(SCORE)


def test_the_whole_record_holds_the_hashes_of_the_others(workflow):
    of_delta = Path(DELTA).with_name("provenance.json")
    assert record()["files"][str(of_delta)]["sha256"] == files.sha256(of_delta)


def test_packages_have_the_versions_that_are_installed(workflow):
    packages = record()["packages"]
    assert packages["sacrebleu"] == version("sacrebleu") and packages["matplotlib"] == version(
        "matplotlib"
    )


def test_the_spec_is_kept_as_it_came(workflow):
    assert record(seeds=[1])["spec"] == {"config": {"seeds": [1]}}


def test_the_machine_and_the_time_are_named(workflow):
    result = record()
    assert result["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert result["machine"]["memory_bytes"] > 2**20 and result["machine"]["cpu"]
    assert datetime.now(UTC) - datetime.fromisoformat(result["time"]) < timedelta(minutes=5)


def test_a_checkout_gives_its_commit_and_whether_files_differ_from_it(tmp_path):
    def git(*command):
        names = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(
            ["git", "-C", str(tmp_path), *names, *command], check=True, capture_output=True
        )

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
