"""Data and models that lie on this machine already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from neft import readers
from neft.errors import NeftError
from neft.schema import Strict

FETCHES = None


class Spec(Strict):
    """Files of the user's own: `paths` for data, `path` for a model."""

    kind: Literal["files"]
    """Local files."""
    paths: str | tuple[str, ...] | dict[str, str] | None = None
    """Data: one file or several (.jsonl, .tsv, .csv, .parquet), or for line-aligned text a file for each field of the task."""
    columns: dict[str, str] = Field({})
    """Data: the column of each field of the task (`a.b`: b inside a); a field that isn't here has a column of its own name."""
    header: tuple[str, ...] | None = None
    """Data: names of the columns, for TSV and CSV files that have no header line."""
    path: str | None = None
    """Model: a Hugging Face directory with safetensors weights."""

    @model_validator(mode="after")
    def _fits(self) -> Spec:
        if (self.paths is None) == (self.path is None):
            raise ValueError("one of `paths` (data) and `path` (a model) is needed, not both")
        if self.path is not None and (self.columns or self.header):
            raise ValueError("`columns` and `header` go with `paths` (data), not with `path` (a model)")
        if isinstance(self.paths, dict):
            if self.columns or self.header:
                raise ValueError("files of line-aligned text have no columns: leave out `columns` and `header`")
        elif self.paths is not None:
            suffixes = {Path(path).suffix for path in _listed(self.paths)}
            if not suffixes or suffixes - set(readers.SUFFIXES):
                raise ValueError(f"`paths` must be files that end in {', '.join(readers.SUFFIXES)}")
            if self.header and suffixes - {".tsv", ".csv"}:
                raise ValueError("`header` goes with .tsv and .csv files only")
        return self


def serves(spec: dict[str, Any]) -> tuple[str, ...]:
    """What the source can be used for: "dataset" or "model"."""
    return ("model",) if spec.get("path") else ("dataset",)


def local_paths(spec: dict[str, Any]) -> list[str]:
    """The files that must be there, in the order in which `read` and `model` take them."""
    source = Spec.model_validate(spec)
    if isinstance(source.paths, dict):
        # By field, not as written: settings that went through JSON may come back in another order.
        return [source.paths[field] for field in sorted(source.paths)]
    return [source.path] if source.path else _listed(source.paths or ())


def read(spec: dict[str, Any], paths: list[Path], fields: Sequence[str]) -> Iterator[dict[str, str]]:
    """Records of the task's fields, in the order of the files. Raises NeftError, with file and line, on what can't be read."""
    source = Spec.model_validate(spec)
    if isinstance(source.paths, dict):
        files = dict(zip(sorted(source.paths), paths, strict=True))
        names = readers.columns_of(fields, dict.fromkeys(files, ""), "source.paths")
        if missing := [field for field in names if field not in files]:
            raise NeftError(f"source.paths: no file for the field {', '.join(missing)}")
        yield from (row for _, row in readers.aligned(files))
        return
    columns = readers.columns_of(fields, source.columns, "source.columns")
    for path in paths:
        for row in readers.read(path, source.header):
            yield readers.pick(row, columns)


def model(spec: dict[str, Any], paths: list[Path], scratch: Path) -> Path:
    """The Hugging Face directory of a model."""
    return paths[0]


def _listed(paths: str | tuple[str, ...]) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths)
