"""Reading and writing small files: JSON, JSON Lines and CSV, always whole.

A killed or orphaned job must not leave half a file that looks finished, so everything is written
under a temporary name in the same folder and renamed.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neft.errors import NeftError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system says where a disk, a quota or the largest allowed file is full."""


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Raise NeftError with the path for what goes wrong while it is written: a full disk doesn't
    say which file it was.
    """
    from safetensors import (
        SafetensorError,
    )  # of Rust, which reports a full disk by an error of its own

    try:
        yield
    except OSError as error:
        if error.filename is not None and Path(error.filename).parent != Path(path).parent:
            raise  # another file, which was read meanwhile
        full = "; make room and start again, what is finished stays" if error.errno in FULL else ""
        raise NeftError(f"{path}: can't be written: {error.strerror or error}{full}") from error
    except SafetensorError as error:
        raise NeftError(
            f"{path}: can't be written: {error}; make room and start again, what is finished stays"
        ) from error


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` if the block ends well, remove it if
    not.

    Raises NeftError with the path if it can't be written.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            # mkstemp makes files that only their owner may read; results follow the user's umask
            # like any other file.
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o666 & ~mask)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def parse_json(text: str) -> Any:
    """Read JSON text. Raises ValueError for whatever is wrong with it, also for numbers and nesting
    that Python can't hold.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write one JSON value atomically, keys in the order given, readable by people."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_json(path: str | Path) -> Any:
    """Read one JSON value. Raises NeftError, naming the file and the place, if it isn't one."""
    try:
        return parse_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NeftError(f"{path}: not readable as JSON: {error}") from error


def write_rows(path: str | Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write JSON Lines atomically: one object a line, UTF-8."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """Read JSON Lines. Raises NeftError, naming file and line, on bad UTF-8, an empty line or
    anything but an object.
    """
    rows = []
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise NeftError(f"{path}: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line.decode("utf-8"))
        except ValueError as error:
            raise NeftError(f"{path}:{number}: not a JSON object in UTF-8: {error}") from error
        if not isinstance(row, dict):
            raise NeftError(f"{path}:{number}: expected a JSON object, got {type(row).__name__}")
        rows.append(row)
    return rows


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of the same keys as CSV, atomically; None is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def seal(value: dict[str, Any]) -> dict[str, Any]:
    """A JSON object with a SHA-256 of its content, by which `check_seal` notices a change."""
    return {**value, "sha256": _digest(value)}


def check_seal(path: str | Path, value: dict[str, Any]) -> None:
    """Raise NeftError, naming the file that an object was read from, if it isn't what `seal`
    made.
    """
    if value.get("sha256") != _digest(
        {key: part for key, part in value.items() if key != "sha256"}
    ):
        raise NeftError(
            f"{path}: damaged: its content doesn't have the hash that was written with it; delete"
            " it and start again"
        )


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
