"""Reading rows of text: JSON, JSON Lines, TSV, CSV, parquet and line-aligned text, with errors that
name the line.

Every reader gives pairs (where, row): `where` is "file:line" for messages, `row` maps column names
to values. `pick` makes of a row the record that a task asks for.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import BeforeValidator, Field

from neft.errors import NeftError, unknown_name
from neft.schema import Strict
from neft.storage.files import parse_json

Row = tuple[str, dict[str, Any]]
SUFFIXES = {".jsonl": "jsonl", ".json": "json", ".tsv": "tsv", ".csv": "csv", ".parquet": "parquet"}
TEXT = tuple(suffix for suffix in SUFFIXES if suffix != ".parquet")
FILE = "@file"
"""A column that every table has: the name of the row's file, without folder and suffix."""


def _key(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _texts_as_keys(value: Any) -> Any:
    """Labels are often numbers, which YAML reads as such."""
    if not isinstance(value, dict):
        return value
    return {
        field: {_key(k): v for k, v in names.items()} if isinstance(names, dict) else names
        for field, names in value.items()
    }


class Table(Strict):
    """What any source of rows can be asked for."""

    columns: dict[str, str] = Field({})
    """Data: the column of each field of the task, where it has another name. `a.b`: b inside a,
    `a.0`: the first of a list; `@file`: name of the row's file without folder and suffix.
    """
    values: Annotated[dict[str, dict[str, str]], BeforeValidator(_texts_as_keys)] = Field({})
    """Data: what the values of a field stand for, by field: `label: {0: entailment, 1: neutral, 2:
    contradiction}`.
    """


def read(path: Path, header: Sequence[str] | None = None) -> Iterator[Row]:
    """Rows of one file, its format told by its suffix (one of SUFFIXES).

    header: names of the columns of a TSV or CSV file whose first line is already data.
    """
    if path.suffix == ".parquet":
        yield from _parquet(path)
        return
    with open_file(path) as file:
        yield from parse(file, str(path), SUFFIXES[path.suffix], header)


def open_file(path: Path) -> IO[bytes]:
    """Open a file for reading. Raises NeftError with the path if that fails."""
    try:
        return path.open("rb")
    except OSError as error:
        raise NeftError(f"{path}: {error.strerror}") from error


def parse(
    file: Iterable[bytes], name: str, form: str, header: Sequence[str] | None = None
) -> Iterator[Row]:
    """Rows of an open file of the format "json", "jsonl", "tsv" or "csv"; `name` is what messages
    call it.
    """
    if form == "json":
        return _json(b"".join(file), name)
    if form == "jsonl":
        return _jsonl(file, name)
    return _tsv(file, name, header) if form == "tsv" else _csv(file, name, header)


def lines(file: Iterable[bytes], name: str, blank: bool = False) -> Iterator[tuple[str, str]]:
    """Lines as pairs (where, text without its line end). Raises NeftError on bad UTF-8 and, unless
    `blank`, on an empty line.

    Lines end at \\n or \\r\\n alone: other separators of Unicode (U+2028 …) occur inside sentences
    and must not split them.
    """
    for number, raw in enumerate(file, start=1):
        where = f"{name}:{number}"
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            what = f"byte 0x{raw[error.start]:02x} at position {error.start + 1} of the line"
            raise NeftError(f"{where}: not UTF-8: {what}; save the file as UTF-8") from error
        text = text.removesuffix("\n").removesuffix("\r")
        if not blank and not text.strip():
            raise NeftError(f"{where}: empty line; remove it or fill it in")
        yield where, text


def aligned(paths: Mapping[str, Path]) -> Iterator[Row]:
    """Rows from text files of which line n belongs to line n of the others; paths: file by column
    name.

    Raises NeftError if they have not equally many lines.
    """
    columns: dict[str, list[tuple[str, str]]] = {}
    for column, path in paths.items():
        with open_file(path) as file:
            columns[column] = list(lines(file, str(path)))
    if len({len(column) for column in columns.values()}) > 1:
        counts = ", ".join(f"{paths[name]} has {len(column):,}" for name, column in columns.items())
        raise NeftError(f"line-aligned files need equally many lines: {counts}")
    for row in zip(*columns.values(), strict=True):
        yield row[0][0], {name: text for name, (_, text) in zip(columns, row, strict=True)}


def columns_of(fields: Sequence[str], columns: Mapping[str, str], key: str) -> dict[str, str]:
    """The column of every field: the one that the user named, else the one of the field's own name.

    Raises NeftError if a column is named for a field that the task doesn't have; `key` is where in
    the config that stands.
    """
    for field in columns:
        if field not in fields:
            raise NeftError(f"{key}: {unknown_name('field', field, list(fields))}")
    return {field: columns.get(field, field) for field in fields}


def pick(
    row: Row,
    columns: Mapping[str, str],
    values: Mapping[str, Mapping[str, str]] | None = None,
    structured: Collection[str] = (),
) -> dict[str, str]:
    """The fields of a record out of a row; columns: column name by field, `a.b` for b inside a,
    `a.0` for the first of a list.

    values: what the values of a field stand for, by field. structured: fields of which anything but
    text becomes JSON text. Null becomes empty text, which the filter drops; a list of texts
    (sentences) one text. Raises NeftError, naming the line, if a column is missing or not text.
    """
    where, cells = row
    record = {}
    for field, column in columns.items():
        value = _value(cells, column, where)
        if values and field in values:
            names = values[field]
            if _key(value) not in names:
                raise NeftError(
                    f"{where}: column '{column}' holds {_shown(value)}; in `values` there are:"
                    f" {', '.join(names)}"
                )
            value = names[_key(value)]
        if (
            isinstance(value, list)
            and field not in structured
            and all(isinstance(part, str) for part in value)
        ):
            value = " ".join(value)
        if value is not None and not isinstance(value, str):
            if field not in structured:
                raise NeftError(f"{where}: column '{column}' is no text but {_shown(value)}")
            value = json.dumps(value, ensure_ascii=False)
        record[field] = _whole(value or "", column, where)
    return record


def _whole(text: str, column: str, where: str) -> str:
    """The text, unless it holds half a character: JSON can, a file in UTF-8 can't."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise NeftError(
            f"{where}: column '{column}' holds half a character ({half} without its other half)"
        ) from error
    return text


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:60]


def _value(values: Any, column: str, where: str) -> Any:
    if column in values:
        return values[column]
    inside: Any = values
    for step in column.split("."):
        if isinstance(inside, list) and step.isdecimal() and int(step) < len(inside):
            inside = inside[int(step)]
            continue
        if not isinstance(inside, dict) or step not in inside:
            raise NeftError(
                f"{where}: no column '{column}'; there are:"
                f" {', '.join(str(name) for name in values if name != FILE)}"
            )
        inside = inside[step]
    return inside


def _json(content: bytes, name: str) -> Iterator[Row]:
    """An array of objects; JSON Lines too, since many published .json files are that."""
    if not content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        yield from _jsonl(io.BytesIO(content), name)
        return
    try:
        rows = parse_json(content.decode("utf-8-sig"))
    except ValueError as error:  # bad UTF-8 as well
        raise NeftError(f"{name}: not JSON in UTF-8: {error}") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise NeftError(f"{name}: row {number}: expected a JSON object, got {_shown(row)}")
        yield f"{name}: row {number}", row


def _jsonl(file: Iterable[bytes], name: str) -> Iterator[Row]:
    for where, text in lines(file, name):
        try:
            row = parse_json(text)
        except json.JSONDecodeError as error:
            raise NeftError(
                f"{where}: not JSON: {error.msg} at character {error.pos + 1}"
            ) from error
        except ValueError as error:
            raise NeftError(f"{where}: not JSON that can be read: {error}") from error
        if not isinstance(row, dict):
            raise NeftError(f"{where}: expected a JSON object, got {text[:60]}")
        yield where, row


def _tsv(file: Iterable[bytes], name: str, header: Sequence[str] | None) -> Iterator[Row]:
    """Tab-separated values without quoting: a quotation mark is text, as in published parallel
    corpora.
    """
    for where, text in lines(file, name):
        if header is None:
            header = text.split("\t")
        else:
            yield where, _cells(text.split("\t"), header, where)


def _csv(file: Iterable[bytes], name: str, header: Sequence[str] | None) -> Iterator[Row]:
    """Comma-separated values as spreadsheets write them: a cell in double quotes may hold commas
    and line ends.
    """
    reader = csv.reader((text + "\n" for _, text in lines(file, name, blank=True)), strict=True)
    try:
        for cells in reader:
            where = f"{name}:{reader.line_num}"
            if not cells:
                raise NeftError(f"{where}: empty line; remove it or fill it in")
            if header is None:
                header = cells
            else:
                yield where, _cells(cells, header, where)
    except csv.Error as error:
        raise NeftError(f"{name}:{reader.line_num}: not CSV: {error}") from error


def _cells(cells: list[str], header: Sequence[str], where: str) -> dict[str, str]:
    if len(cells) != len(header):
        raise NeftError(
            f"{where}: {len(cells)} columns where there are {len(header)}: {', '.join(header)}"
        )
    return dict(zip(header, cells, strict=True))


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches():
            for values in batch.to_pylist():
                number += 1
                yield f"{path}:row {number}", values
    except (OSError, pyarrow.ArrowException) as error:
        raise NeftError(f"{path}: not readable as parquet: {error}") from error
