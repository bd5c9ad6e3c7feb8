from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from neft.data import readers, records
from neft.data.sources import files
from neft.data.tasks import translation
from neft.errors import NeftError


def read(spec: dict) -> list[dict]:
    source = files.Spec.model_validate(spec)
    paths = [Path(path) for path in files.local_paths(source, ".")]
    return list(records.read(source, paths, [len(paths)], translation)[0])


def test_columns_say_which_column_is_which_field(tiny_pairs):
    spec = {"kind": "files", "paths": str(tiny_pairs), "columns": {"source": "fr", "target": "en"}}
    rows = read(spec)
    assert len(rows) == 60
    assert rows[0] == {"source": "Ouvrir le fichier", "target": "Open the file"}


def test_fields_without_a_column_are_columns_of_their_own_name(tiny_rows):
    assert read({"kind": "files", "paths": [str(tiny_rows)]})[0] == {
        "source": "Open the file",
        "target": "Ouvrir le fichier",
    }


def test_several_files_are_read_one_after_the_other(tmp_path):
    (tmp_path / "b.jsonl").write_text(json.dumps({"source": "1", "target": "un"}))
    (tmp_path / "a.tsv").write_text("source\ttarget\n2\tdeux\n")
    spec = {"kind": "files", "paths": [str(tmp_path / "b.jsonl"), str(tmp_path / "a.tsv")]}
    assert [row["target"] for row in read(spec)] == ["un", "deux"]


def test_line_aligned_text_has_a_file_for_each_field(tmp_path):
    (tmp_path / "x.en").write_text("Yes\nNo\n")
    (tmp_path / "x.fr").write_text("Oui\nNon\n")
    paths = {"target": str(tmp_path / "x.fr"), "source": str(tmp_path / "x.en")}
    assert read({"kind": "files", "paths": paths}) == [
        {"source": "Yes", "target": "Oui"},
        {"source": "No", "target": "Non"},
    ]


def test_the_order_of_keys_changes_nothing_of_line_aligned_text():
    paths = {"target": "x.fr", "source": "x.en"}
    backwards = {"source": "x.en", "target": "x.fr"}
    assert files.local_paths(
        files.Spec.model_validate({"kind": "files", "paths": paths}), ""
    ) == files.local_paths(files.Spec.model_validate({"kind": "files", "paths": backwards}), "")


def test_line_aligned_text_needs_a_file_for_every_field(tmp_path):
    (tmp_path / "x.en").write_text("Yes\n")
    with pytest.raises(NeftError, match=r"no column 'target'; there are: source$"):
        read({"kind": "files", "paths": {"source": str(tmp_path / "x.en")}})


def test_a_model_is_a_directory(tiny_model, tmp_path):
    spec = files.Spec.model_validate({"kind": "files", "path": str(tiny_model)})
    assert files.serves(spec) == ("model",)
    assert files.local_paths(spec, ".") == [str(tiny_model)]
    assert files.model(spec, [tiny_model], tmp_path) == tiny_model


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "one of `paths` (data) and `path` (a model) is needed, not both"),
        (
            {"paths": "a.tsv", "path": "m"},
            "one of `paths` (data) and `path` (a model) is needed, not both",
        ),
        (
            {"path": "m", "columns": {"source": "en"}},
            "`columns`, `values` and `header` go with `paths` (data), not with `path` (a model)",
        ),
        (
            {"paths": "a.txt"},
            "`paths` must be files that end in .jsonl, .json, .tsv, .csv, .parquet",
        ),
        ({"paths": []}, "`paths` must be files that end in .jsonl, .json, .tsv, .csv, .parquet"),
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


def test_relative_paths_start_from_the_folder_of_the_configuration(tmp_path):
    spec = files.Spec.model_validate({"kind": "files", "paths": ["a.tsv", "/b.tsv"]})
    assert files.local_paths(spec, "../shared") == ["../shared/a.tsv", "/b.tsv"]
    assert files.local_paths(spec, ".") == ["a.tsv", "/b.tsv"]
    assert files.local_paths(
        files.Spec.model_validate({"kind": "files", "path": "model"}), "/m"
    ) == ["/m/model"]


def test_a_pattern_stands_for_its_matches_by_name(tmp_path):
    for name in ("b_val.csv", "a_val.csv", "c.txt"):
        (tmp_path / name).write_text("Who?,one,two,A\n")
    spec = files.Spec.model_validate(
        {"kind": "files", "paths": "*_val.csv", "header": ["source", "A", "B", "target"]}
    )
    paths = files.local_paths(spec, str(tmp_path))
    assert paths == [f"{tmp_path}/a_val.csv", f"{tmp_path}/b_val.csv"]
    found = list(files.rows(spec, [Path(path) for path in paths]))
    assert [row["@file"] for _, row in found] == ["a_val", "b_val"]
    assert readers.pick(found[0], {"subject": "@file", "answer": "target"}) == {
        "subject": "a_val",
        "answer": "A",
    }


def test_a_pattern_that_matches_nothing_is_left_for_the_check_of_paths(tmp_path):
    assert files.local_paths(
        files.Spec.model_validate({"kind": "files", "paths": "no/*.csv"}), str(tmp_path)
    ) == [f"{tmp_path}/no/*.csv"]


def test_a_name_with_brackets_is_no_pattern(tmp_path):
    (tmp_path / "a[1].csv").write_text("source,target\n")
    assert files.local_paths(
        files.Spec.model_validate({"kind": "files", "paths": "a[1].csv"}), str(tmp_path)
    ) == [f"{tmp_path}/a[1].csv"]


def test_quotation_marks_of_xnli_are_text(tmp_path):
    (tmp_path / "dev.tsv").write_text('"Et il a dit, maman.\tIl n\'a pas dit "un mot\n')
    spec = {"kind": "files", "paths": str(tmp_path / "dev.tsv"), "header": ["source", "target"]}
    assert read(spec) == [{"source": '"Et il a dit, maman.', "target": "Il n'a pas dit \"un mot"}]
