from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from neft.errors import NeftError
from neft.sources import files

FIELDS = ("source", "target")


def read(spec: dict) -> list[dict]:
    return list(files.read(spec, [Path(path) for path in files.local_paths(spec)], FIELDS))


def test_columns_say_which_column_is_which_field(tiny_pairs):
    spec = {"kind": "files", "paths": str(tiny_pairs), "columns": {"source": "fr", "target": "en"}}
    rows = read(spec)
    assert len(rows) == 60
    assert rows[0] == {"source": "Ouvrir le fichier", "target": "Open the file"}


def test_fields_without_a_column_are_columns_of_their_own_name(tiny_rows):
    assert read({"kind": "files", "paths": [str(tiny_rows)]})[0] == {"source": "Open the file", "target": "Ouvrir le fichier"}


def test_several_files_are_read_one_after_the_other(tmp_path):
    (tmp_path / "b.jsonl").write_text(json.dumps({"source": "1", "target": "un"}))
    (tmp_path / "a.tsv").write_text("source\ttarget\n2\tdeux\n")
    spec = {"kind": "files", "paths": [str(tmp_path / "b.jsonl"), str(tmp_path / "a.tsv")]}
    assert [row["target"] for row in read(spec)] == ["un", "deux"]


def test_line_aligned_text_has_a_file_for_each_field(tmp_path):
    (tmp_path / "x.en").write_text("Yes\nNo\n")
    (tmp_path / "x.fr").write_text("Oui\nNon\n")
    paths = {"target": str(tmp_path / "x.fr"), "source": str(tmp_path / "x.en")}
    assert read({"kind": "files", "paths": paths}) == [{"source": "Yes", "target": "Oui"}, {"source": "No", "target": "Non"}]


def test_the_order_of_keys_changes_nothing_of_line_aligned_text():
    paths = {"target": "x.fr", "source": "x.en"}
    backwards = {"source": "x.en", "target": "x.fr"}
    assert files.local_paths({"kind": "files", "paths": paths}) == files.local_paths({"kind": "files", "paths": backwards})


def test_line_aligned_text_needs_a_file_for_every_field(tmp_path):
    (tmp_path / "x.en").write_text("Yes\n")
    with pytest.raises(NeftError, match=r"^source\.paths: no file for the field target$"):
        read({"kind": "files", "paths": {"source": str(tmp_path / "x.en")}})


def test_a_model_is_a_directory(tiny_model, tmp_path):
    spec = {"kind": "files", "path": str(tiny_model)}
    assert files.serves(spec) == ("model",)
    assert files.local_paths(spec) == [str(tiny_model)]
    assert files.model(spec, [tiny_model], tmp_path) == tiny_model


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "one of `paths` (data) and `path` (a model) is needed, not both"),
        ({"paths": "a.tsv", "path": "m"}, "one of `paths` (data) and `path` (a model) is needed, not both"),
        (
            {"path": "m", "columns": {"source": "en"}},
            "`columns` and `header` go with `paths` (data), not with `path` (a model)",
        ),
        ({"paths": "a.txt"}, "`paths` must be files that end in .jsonl, .tsv, .csv, .parquet"),
        ({"paths": []}, "`paths` must be files that end in .jsonl, .tsv, .csv, .parquet"),
        ({"paths": "a.jsonl", "header": ["en"]}, "`header` goes with .tsv and .csv files only"),
        (
            {"paths": {"source": "a.en"}, "columns": {"source": "en"}},
            "files of line-aligned text have no columns: leave out `columns` and `header`",
        ),
    ],
)
def test_a_block_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValidationError) as error:
        files.Spec.model_validate({"kind": "files", **options})
    assert error.value.errors()[0]["msg"] == f"Value error, {message}"
