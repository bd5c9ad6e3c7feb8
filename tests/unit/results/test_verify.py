"""`neft verify` can't be fooled or broken: whole JSON of another form is a line of its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neft.results.verify import verify
from neft.storage import files

METRICS = "results/x/tune/m/d/neft/seed1/lr0.1/metrics.json"
TABLE, DATA = "results/x/tables/main.csv", "results/x/data/d/train.jsonl"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with data, one tuning, a table and the record of them."""
    files.write_text(tmp_path / DATA, "{}\n")
    files.write_text(tmp_path / TABLE, "a,b\n")
    data = files.sha256(tmp_path / DATA)
    files.write_json(tmp_path / METRICS, {"mask_sha256": None, "data_sha256": {"train": data}})
    record(tmp_path)
    return tmp_path / "results/x"


def record(root: Path, **changes: Any) -> None:
    jobs = [
        {"rule": "tune_model", "inputs": [DATA], "outputs": [METRICS], "ended": 1.0},
        {"rule": "make_table", "inputs": [METRICS], "outputs": [TABLE], "ended": 2.0},
    ]
    sums = {name: {"sha256": files.sha256(root / name)} for name in (DATA, METRICS, TABLE)}
    content = {"jobs": jobs, "files": sums, "records": {}} | changes
    files.write_json(root / "results/x/provenance.json", files.seal(content))


def wrong(results: Path) -> str:
    return "\n".join(verify(results).wrong)


def test_an_untouched_folder_is_as_recorded(results):
    assert verify(results).wrong == []


@pytest.mark.parametrize(
    "changes",
    [
        {"jobs": [None]},
        {"files": 5},
        {"records": []},
        {"jobs": [{"rule": "x"}]},
        {"files": {"a": 1}},
    ],
)
def test_a_record_of_another_form_is_a_line_not_a_traceback(results, changes):
    record(results.parents[1], **changes)
    assert "provenance.json: not a provenance file: " in wrong(results)


@pytest.mark.parametrize("text", ["{}", "[]", "5", "null", '{"jobs": [], "files": {}}'])
def test_a_record_without_its_seal_is_named(results, text):
    (results / "provenance.json").write_text(text)
    assert "provenance.json: " in wrong(results)


def test_one_flipped_bit_in_the_record_is_named_whatever_it_says(results):
    path = results / "provenance.json"
    path.write_text(path.read_text().replace('"make_table"', '"make_tablf"'))
    assert "provenance.json: damaged" in wrong(results)


def test_a_missing_record_is_named(results):
    (results / "provenance.json").unlink()
    assert "provenance.json: missing" in wrong(results)


@pytest.mark.parametrize("content", [{}, 5, [1], {"data_sha256": 3}])
def test_metrics_of_another_form_are_a_line_not_a_traceback(results, content):
    files.write_json(results.parents[1] / METRICS, content)
    assert f"{METRICS}: not the metrics of a training" in wrong(results)


@pytest.mark.parametrize("content", [{"files": 5}, {"sha256": 5}, [], 7])
def test_a_model_record_of_another_form_is_a_line_not_a_traceback(results, content):
    files.write_json(results / "model/m.json", content)
    (results / "model/m").mkdir()
    assert "model/m" in wrong(results)


def test_an_entry_that_leads_outside_is_refused(results):
    root = results.parents[1]
    files.write_text(root / "secret", "s")
    sums = {"../secret": {"sha256": "0" * 64}, "secret": {"sha256": "0" * 64}}
    record(root, files=sums)
    assert "lists ../secret, which lies outside" in wrong(results)
    assert "lists secret, which lies outside" in wrong(results)


def test_a_file_that_nobody_recorded_is_named(results):
    files.write_text(results / "tables/other.csv", "x")
    files.write_text(results / "tune/m/.leftover", "x")
    assert "tables/other.csv: nobody recorded this file" in wrong(results)
    assert "tune/m/.leftover: nobody recorded this file" in wrong(results)
