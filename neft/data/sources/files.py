"""Data and models that lie on this machine already."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from neft.data import readers

FETCHES = None


class Spec(readers.Table):
    """Files of the user's own: `paths` for data, `path` for a model, relative to the
    configuration's folder `data`.
    """

    kind: Literal["files"]
    """Local files."""
    paths: str | tuple[str, ...] | dict[str, str] | None = None
    """Data: one file or several (.jsonl, .json, .tsv, .csv, .parquet), with wildcards where there
    are many (`val/*.csv`); or for line-aligned text a file for each field of the task.
    """
    header: tuple[str, ...] | None = None
    """Data: names of the columns, for TSV and CSV files that have no header line."""
    path: str | None = None
    """Model: a Hugging Face directory with safetensors weights."""

    @model_validator(mode="after")
    def _fits(self) -> Spec:
        if (self.paths is None) == (self.path is None):
            raise ValueError("one of `paths` (data) and `path` (a model) is needed, not both")
        if self.path is not None and (self.columns or self.values or self.header):
            raise ValueError(
                "`columns`, `values` and `header` go with `paths` (data), not with `path` (a model)"
            )
        if isinstance(self.paths, dict):
            if self.columns or self.header:
                raise ValueError(
                    "files of line-aligned text have no columns: leave out `columns` and `header`"
                )
        elif self.paths is not None:
            suffixes = {Path(path).suffix for path in _listed(self.paths)}
            if not suffixes or suffixes - set(readers.SUFFIXES):
                raise ValueError(f"`paths` must be files that end in {', '.join(readers.SUFFIXES)}")
            if self.header and suffixes - {".tsv", ".csv"}:
                raise ValueError("`header` goes with .tsv and .csv files only")
        return self


def serves(spec: Spec) -> tuple[str, ...]:
    """What the source can be used for: "dataset" or "model"."""
    return ("model",) if spec.path else ("dataset",)


def local_paths(spec: Spec, folder: str) -> list[str]:
    """The files that must be there, in the order in which `rows` and `model` take them.

    Relative paths start from `folder`. A pattern gives its matches by name; one that matches
    nothing stays as it is.
    """
    if isinstance(spec.paths, dict):
        # By field, not as written: settings that went through JSON may come back in another order.
        return [str(Path(folder) / spec.paths[field]) for field in sorted(spec.paths)]
    patterns = [spec.path] if spec.path else _listed(spec.paths or ())
    return [path for pattern in patterns for path in _matching(str(Path(folder) / pattern))]


def rows(spec: Spec, paths: list[Path]) -> Iterator[readers.Row]:
    """Rows of these files, one after the other. Raises NeftError, with file and line, on what can't
    be read.
    """
    if isinstance(spec.paths, dict):
        yield from readers.aligned(dict(zip(sorted(spec.paths), paths, strict=True)))
        return
    for path in paths:
        yield from (
            (where, {**row, readers.FILE: path.stem})
            for where, row in readers.read(path, spec.header)
        )


def model(spec: Spec, paths: list[Path], scratch: Path) -> Path:
    """The Hugging Face directory of a model."""
    return paths[0]


def _listed(paths: str | tuple[str, ...]) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths)


def _matching(path: str) -> list[str]:
    if Path(path).exists():  # a name may hold a bracket
        return [path]
    return sorted(glob.glob(path, recursive=True)) or [path]  # noqa: PTH207  (Path.glob takes no absolute pattern)
