from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neft.data import readers
from neft.errors import NeftError


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(path: Path, header: list[str] | None = None) -> list[dict]:
    return [row for _, row in readers.read(path, header)]


def fails(message: str):
    return pytest.raises(NeftError, match=f"^{re.escape(message)}$")


def test_the_first_line_of_a_table_names_its_columns(tmp_path):
    assert rows(write(tmp_path / "a.tsv", "en\tfr\nYes\tOui\n")) == [{"en": "Yes", "fr": "Oui"}]
    assert rows(write(tmp_path / "a.csv", "en,fr\nYes,Oui\n")) == [{"en": "Yes", "fr": "Oui"}]


def test_a_table_without_a_header_line_takes_the_names_it_is_given(tmp_path):
    assert rows(write(tmp_path / "a.tsv", "Yes\tOui\n"), ["en", "fr"]) == [
        {"en": "Yes", "fr": "Oui"}
    ]


def test_quotation_marks_are_text_in_tsv_and_quoting_in_csv(tmp_path):
    assert rows(write(tmp_path / "a.tsv", 'en\n"Yes"\n')) == [{"en": '"Yes"'}]
    assert rows(write(tmp_path / "a.csv", 'en,fr\n"Yes, ""sir""","two\nlines"\n')) == [
        {"en": 'Yes, "sir"', "fr": "two\nlines"}
    ]


def test_windows_line_ends_and_a_byte_order_mark_are_no_text(tmp_path):
    assert rows(write(tmp_path / "a.tsv", "\ufeffen\tfr\r\nYes\tOui\r\n")) == [
        {"en": "Yes", "fr": "Oui"}
    ]


def test_other_line_separators_of_unicode_are_text(tmp_path):
    assert rows(write(tmp_path / "a.tsv", "en\na\u2028b\x85c\n")) == [{"en": "a\u2028b\x85c"}]


def test_parquet_gives_its_columns(tmp_path):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(
        pyarrow.table({"en": ["Yes", "No"], "fr": ["Oui", None]}), tmp_path / "a.parquet"
    )
    assert rows(tmp_path / "a.parquet") == [{"en": "Yes", "fr": "Oui"}, {"en": "No", "fr": None}]


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_every_text_survives_csv(cells):
    # What no text file can hold as it is: lone surrogates, and line ends that csv's writer turns
    # into others.
    clean = [tuple(re.sub("[\ud800-\udfff\r\0]", "", text) for text in row) for row in cells]
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *clean])
    data = io.BytesIO(buffer.getvalue().encode())
    assert [tuple(row.values()) for _, row in readers.parse(data, "x.csv", "csv")] == clean


def test_a_missing_file_is_named(tmp_path):
    with fails(f"{tmp_path}/a.tsv: No such file or directory"):
        rows(tmp_path / "a.tsv")


def test_bad_utf8_is_shown_with_its_line(tmp_path):
    path = write(tmp_path / "a.tsv", b"en\nd\xe9j\xe0\n")
    with fails(f"{path}:2: not UTF-8: byte 0xe9 at position 2 of the line; save the file as UTF-8"):
        rows(path)


@pytest.mark.parametrize(
    "name, text, line",
    [("a.jsonl", '{"en": "a"}\n\n', 2), ("a.tsv", "en\na\n\nb\n", 3), ("a.csv", "en\n\nb\n", 2)],
)
def test_an_empty_line_is_an_error_with_its_number(tmp_path, name, text, line):
    path = write(tmp_path / name, text)
    with fails(f"{path}:{line}: empty line; remove it or fill it in"):
        rows(path)


def test_a_row_of_another_width_is_an_error_with_its_line(tmp_path):
    path = write(tmp_path / "a.tsv", "en\tfr\na\tb\tc\n")
    with fails(f"{path}:2: 3 columns where there are 2: en, fr"):
        rows(path)


def test_a_line_that_is_no_json_object_is_an_error_with_its_number(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"en": "a"}\n{"en": \n')
    with fails(f"{path}:2: not JSON: Expecting value at character 8"):
        rows(path)
    path = write(tmp_path / "b.jsonl", "[1]\n")
    with fails(f"{path}:1: expected a JSON object, got [1]"):
        rows(path)


def test_an_open_quotation_in_csv_is_an_error(tmp_path):
    path = write(tmp_path / "a.csv", 'en\n"a\n')
    with fails(f"{path}:2: not CSV: unexpected end of data"):
        rows(path)


def test_a_file_that_is_no_parquet_is_an_error(tmp_path):
    path = write(tmp_path / "a.parquet", "en,fr")
    with pytest.raises(NeftError, match=f"^{re.escape(str(path))}: not readable as parquet: "):
        rows(path)


def test_aligned_files_give_a_row_a_line(tmp_path):
    paths = {
        "source": write(tmp_path / "a.en", "Yes\nNo\n"),
        "target": write(tmp_path / "a.fr", "Oui\nNon\n"),
    }
    assert [row for _, row in readers.aligned(paths)] == [
        {"source": "Yes", "target": "Oui"},
        {"source": "No", "target": "Non"},
    ]


def test_aligned_files_of_different_length_are_refused_with_both_counts(tmp_path):
    paths = {
        "source": write(tmp_path / "a.en", "Yes\nNo\n"),
        "target": write(tmp_path / "a.fr", "Oui\n"),
    }
    with fails(
        f"line-aligned files need equally many lines: {tmp_path}/a.en has 2, {tmp_path}/a.fr has 1"
    ):
        list(readers.aligned(paths))


def test_an_empty_line_in_aligned_text_is_an_error_with_its_number(tmp_path):
    paths = {
        "source": write(tmp_path / "a.en", "Yes\n \n"),
        "target": write(tmp_path / "a.fr", "Oui\nNon\n"),
    }
    with fails(f"{tmp_path}/a.en:2: empty line; remove it or fill it in"):
        list(readers.aligned(paths))


def test_pick_finds_columns_inside_others():
    row = ("x:1", {"translation": {"en": "Yes", "fr": "Oui"}, "a.b": "dotted"})
    assert readers.pick(row, {"source": "translation.en", "target": "a.b"}) == {
        "source": "Yes",
        "target": "dotted",
    }


def test_pick_makes_empty_text_of_null():
    assert readers.pick(("x:1", {"en": None}), {"source": "en"}) == {"source": ""}


def test_a_missing_column_is_named_with_those_there_are():
    with fails("x:7: no column 'de'; there are: en, fr"):
        readers.pick(("x:7", {"en": "Yes", "fr": "Oui"}), {"source": "de"})


def test_a_value_that_is_no_text_is_an_error():
    with fails("x:7: column 'n' is no text but 12"):
        readers.pick(("x:7", {"n": 12}), {"source": "n"})


def test_a_column_for_a_field_that_the_task_lacks_is_an_error():
    with fails(
        "source.columns: unknown field 'sourse' (did you mean 'source'?); available: source, target"
    ):
        readers.columns_of(["source", "target"], {"sourse": "en"}, "source.columns")


def test_a_json_file_holds_an_array_of_objects_or_lines(tmp_path):
    expected = [{"en": "Yes"}, {"en": "No"}]
    assert rows(write(tmp_path / "a.json", '\ufeff [{"en": "Yes"},\n {"en": "No"}]')) == expected
    assert rows(write(tmp_path / "b.json", '{"en": "Yes"}\n{"en": "No"}\n')) == expected


def test_a_json_array_of_anything_but_objects_is_an_error(tmp_path):
    path = write(tmp_path / "a.json", '[{"en": "Yes"}, 1]')
    with fails(f"{path}: row 2: expected a JSON object, got 1"):
        rows(path)
    path = write(tmp_path / "b.json", "[{")
    with pytest.raises(NeftError, match=f"^{re.escape(str(path))}: not JSON in UTF-8: "):
        rows(path)


json_values = st.dictionaries(
    st.text(), st.text() | st.none() | st.integers() | st.lists(st.text())
)


@given(st.lists(json_values, min_size=1), st.sampled_from(["json", "jsonl"]))
def test_every_object_survives_json(objects, form):
    text = (
        json.dumps(objects)
        if form == "json"
        else "".join(json.dumps(value) + "\n" for value in objects)
    )
    assert [row for _, row in readers.parse(io.BytesIO(text.encode()), "x", form)] == objects


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_every_text_without_tabs_and_line_ends_survives_tsv(cells):
    clean = [tuple(re.sub("[\ud800-\udfff\t\r\n]", "", text) for text in row) for row in cells]
    clean = [row for row in clean if "".join(row).strip()]
    lines = ["a\tb", *("\t".join(row) for row in clean)]
    data = io.BytesIO("".join(f"{line}\n" for line in lines).encode())
    assert [tuple(row.values()) for _, row in readers.parse(data, "x.tsv", "tsv")] == clean


def test_a_list_of_sentences_is_a_text():
    assert readers.pick(("x:7", {"s": ["One .", "Two ."]}), {"source": "s"}) == {
        "source": "One . Two ."
    }


def test_a_structured_field_is_json():
    row = ("x:7", {"messages": [{"role": "user", "content": "Où ?"}], "n": 12, "text": "plain"})
    columns = {"messages": "messages", "n": "n", "text": "text"}
    assert readers.pick(row, columns, structured=set(columns)) == {
        "messages": '[{"role": "user", "content": "Où ?"}]',
        "n": "12",
        "text": "plain",
    }


def test_labels_get_the_names_that_they_stand_for():
    values = readers.Table.model_validate(
        {"values": {"label": {0: "entailment", "1": "neutral", True: "yes"}}}
    ).values
    for value, name in ((0, "entailment"), ("0", "entailment"), (1, "neutral"), (True, "yes")):
        assert readers.pick(("x:7", {"label": value}), {"label": "label"}, values) == {
            "label": name
        }


def test_a_label_without_a_name_is_an_error():
    with fails("x:7: column 'gold' holds -1; in `values` there are: 0, 1"):
        readers.pick(("x:7", {"gold": -1}), {"label": "gold"}, {"label": {"0": "no", "1": "yes"}})


def test_pick_finds_columns_inside_lists():
    row = ("x:1", {"choices": ["red", "blue"], "answer": 1})
    columns = {"A": "choices.0", "B": "choices.1", "answer": "answer"}
    picked = readers.pick(row, columns, {"answer": {"0": "A", "1": "B"}})
    assert picked == {"A": "red", "B": "blue", "answer": "B"}
    with pytest.raises(NeftError, match=r"x:1: no column 'choices.2'; there are: choices, answer"):
        readers.pick(row, {"C": "choices.2"})
