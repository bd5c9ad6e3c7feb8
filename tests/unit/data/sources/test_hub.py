from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

import tiny
from neft.data import records
from neft.data.sources import hub
from neft.data.tasks import translation
from neft.errors import NeftError

PIN = {"kind": "hub", "repo": "org/pairs", "revision": "a" * 40}


def read(folder, **options) -> list[dict]:
    spec = hub.Spec.model_validate(PIN | options)
    return list(records.read(spec, [folder], [1], translation)[0])


def test_json_with_nested_translations_is_read(tmp_path):
    (tmp_path / "en-fr").mkdir()
    rows = [{"id": n, "translation": {"en": f"Yes {n}", "fr": f"Oui {n}"}} for n in range(3)]
    (tmp_path / "en-fr" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"source": "translation.en", "target": "translation.fr"}
    assert read(tmp_path, files=["en-fr/train.jsonl"], columns=columns)[2] == {
        "source": "Yes 2",
        "target": "Oui 2",
    }


def test_all_parquet_parts_are_read_in_order(tmp_path):
    import pyarrow
    from pyarrow import parquet

    for part in (1, 0):
        table = pyarrow.table({"source": [f"{part}a", f"{part}b"], "target": ["x", "y"]})
        parquet.write_table(table, tmp_path / f"train-{part}.parquet")
    assert [row["source"] for row in read(tmp_path, files=["train-*.parquet"])] == [
        "0a",
        "0b",
        "1a",
        "1b",
    ]


@pytest.mark.parametrize("name, tab", [("a.csv", ","), ("a.tsv", "\t")])
def test_numbers_and_missing_value_codes_in_tables_are_text(tmp_path, name, tab):
    (tmp_path / name).write_text(f"source{tab}target\n007{tab}NA\nnull{tab}1.50\n")
    assert read(tmp_path, files=[name]) == [
        {"source": "007", "target": "NA"},
        {"source": "null", "target": "1.50"},
    ]


def test_a_missing_column_is_named_with_those_there_are(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"en": "Yes", "fr": "Oui"}\n')
    with pytest.raises(NeftError, match=r"/a\.jsonl:1: no column 'source'; there are: en, fr$"):
        read(tmp_path, files=["a.jsonl"])


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.parquet").write_text("xx")
    with pytest.raises(
        NeftError, match=r"/a\.parquet: not readable as parquet: Parquet file size is 2 bytes"
    ):
        read(tmp_path, files=["a.parquet"])


def test_a_pattern_that_matches_nothing_says_what_there_is(tmp_path):
    (tmp_path / "a.csv").write_text("source,target\n")
    with pytest.raises(
        NeftError, match=r"^org/pairs: no file matches 'test\.csv'; there are: a\.csv$"
    ):
        read(tmp_path, files=["test.csv"])


@pytest.mark.parametrize("revision", ["main", "v1.0", "a" * 39, "A" * 40])
def test_only_a_commit_is_a_revision(revision):
    with pytest.raises(ValidationError) as error:
        hub.Spec.model_validate(PIN | {"revision": revision})
    message = (
        "must be a commit, 40 hexadecimal digits: a branch or tag may change, and with it the"
        " results"
    )
    assert error.value.errors()[0]["msg"] == f"Value error, {message}"


def test_a_file_of_a_format_that_is_not_read_is_refused():
    with pytest.raises(
        ValidationError,
        match=r"`files` must end in \.jsonl, \.json, \.tsv, \.csv, \.parquet, or, with",
    ):
        hub.Spec.model_validate(PIN | {"files": ["data.xml"]})


def test_a_dataset_fetches_its_files_and_a_model_what_models_have():
    dataset = hub.fetch_spec(hub.Spec(**PIN, files=["a.csv"]), "dataset")
    assert dataset == {
        "repo": "org/pairs",
        "revision": "a" * 40,
        "repo_type": "dataset",
        "patterns": ["a.csv"],
    }
    model = hub.fetch_spec(hub.Spec(**PIN), "model")
    assert "*.safetensors" in model["patterns"]
    assert not any(pattern.endswith((".bin", ".pt", ".pth")) for pattern in model["patterns"])


def write_parquet(path, rows: list[dict]) -> None:
    import pyarrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def test_xnli_gives_names_for_its_numbered_labels(tmp_path):
    row = {"premise": "Et il a dit", "hypothesis": "Il n'a rien dit", "label": 2}
    write_parquet(tmp_path / "fr" / "validation-00000-of-00001.parquet", [row])
    values = {"target": {0: "entailment", 1: "neutral", 2: "contradiction"}}
    found = read(
        tmp_path,
        files=["fr/validation-*.parquet"],
        columns={"source": "premise", "target": "label"},
        values=values,
    )
    assert found == [{"source": "Et il a dit", "target": "contradiction"}]


def test_news_commentary_has_its_languages_inside_a_column(tmp_path):
    write_parquet(
        tmp_path / "en-zh" / "train-00000-of-00001.parquet",
        [{"id": "0", "translation": {"en": "Yes", "zh": "是"}}],
    )
    columns = {"source": "translation.en", "target": "translation.zh"}
    assert read(tmp_path, files=["en-zh/train-*.parquet"], columns=columns) == [
        {"source": "Yes", "target": "是"}
    ]


def test_crosssum_lies_in_tar_archives(tmp_path):
    (tmp_path / "data").mkdir()
    members = {
        f"english-french_{split}.jsonl": json.dumps({"text": split, "summary": "s"}).encode()
        for split in ("train", "val")
    }
    tiny.write_tar(tmp_path / "data" / "english-french_CrossSum.tar.bz2", members)
    spec = {"files": ["data/english-french_CrossSum.tar.bz2"], "members": "*_val.jsonl"}
    assert read(tmp_path, **spec, columns={"source": "text", "target": "summary"}) == [
        {"source": "val", "target": "s"}
    ]


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"files": ["a.parquet"], "members": "*.jsonl"},
            "`members` goes with `files` that end in .tar.gz, .tar.bz2, .tar.xz",
        ),
        (
            {"files": ["a.tar.gz"], "members": "*.parquet"},
            "`members` must end in .jsonl, .json, .tsv, .csv",
        ),
        (
            {"files": ["a.tar.gz"]},
            (
                "`files` must end in .jsonl, .json, .tsv, .csv, .parquet, or, with `members`,"
                " .tar.gz, .tar.bz2, .tar.xz"
            ),
        ),
    ],
)
def test_archives_need_members_and_only_they(options, message):
    with pytest.raises(ValidationError) as error:
        hub.Spec.model_validate(PIN | options)
    assert error.value.errors()[0]["msg"] == f"Value error, {message}"
