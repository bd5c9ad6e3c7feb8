"""Output rows: read, checked that they are text, and that two files hold the same sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neft.errors import NeftError
from neft.storage import files

Rows = Sequence[dict[str, Any]]
"""Output rows: {id, source, reference, output, text, finished, tokens}, for choices also scores."""


def read_outputs(outputs: str, segments: str | None = None) -> list[dict[str, Any]]:
    """Read output rows; with a file of segment scores each row gets its `segment`, and the rest of
    that file as `scorer`.

    Raises NeftError, naming the file, if one can't be read or the scores don't pair up with the
    rows.
    """
    rows = files.read_rows(outputs)
    if segments is None:
        return rows
    scorer = files.read_json(segments)
    values = scorer.pop("segments")
    if len(values) != len(rows):
        raise NeftError(
            f"{segments}: {len(values)} scores, but {outputs} has {len(rows)} rows; make the scores"
            " again"
        )
    return [
        row | {"segment": value, "scorer": scorer} for row, value in zip(rows, values, strict=True)
    ]


def check_aligned(rows: Rows, others: Rows, path: str, other_path: str) -> None:
    """A paired test pairs rows by position. Raises NeftError at the first that isn't the same
    sentence in both files.
    """
    if len(rows) != len(others):
        raise NeftError(
            f"{path} has {len(rows)} rows but {other_path} has {len(others)}; both must come from"
            " the same test set"
        )
    for number, (row, other) in enumerate(zip(rows, others, strict=True), start=1):
        for key in ("id", "reference"):
            if row[key] != other[key]:
                raise NeftError(
                    f"row {number}: {key} is {row[key]!r} in {path} but {other[key]!r} in"
                    f" {other_path}; it must be the same"
                )


def texts(rows: Rows) -> tuple[list[str], list[str]]:
    """Outputs and references of output rows. Raises NeftError if there are no rows or one of them
    lacks a text.
    """
    if not rows:
        raise NeftError("scoring needs at least one output, got 0")
    for number, row in enumerate(rows, start=1):
        for key in ("output", "reference"):
            if not isinstance(row.get(key), str):
                raise NeftError(
                    f"{key} {number} of {len(rows)}: expected text, got {row.get(key)!r}"
                )
    return [row["output"] for row in rows], [row["reference"] for row in rows]
