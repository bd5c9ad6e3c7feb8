"""Data and models of the Hugging Face hub, pinned to one commit."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import StringConstraints, field_validator, model_validator

from neft.data import archives, readers
from neft.errors import NeftError
from neft.storage import folders

FETCHES = "hub"
UNPINNED = "0" * 40
"""The revision of a repository that has yet to be chosen: plans can be made with it, but nothing is
fetched.
"""
MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.py")


class Spec(readers.Table):
    """A repository of the hub at one commit: a data set (`files` needed) or a model."""

    kind: Literal["hub"]
    """The Hugging Face hub."""
    repo: Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)?$")]
    """`owner/name`."""
    revision: str
    """The commit, 40 hexadecimal digits; a branch or tag may change, so it is refused. Forty zeros:
    yet to be filled in, for a dry run; nothing is fetched.
    """
    files: tuple[str, ...] = ()
    """Data: which files, with wildcards (`en-fr/train-*.parquet`), and so which subset and split:
    parquet, JSON, CSV, TSV, or tar archives of these.
    """
    members: str | None = None
    """Data: which files of the tar archives (`*_train.jsonl`), where `files` are archives."""

    @field_validator("revision")
    @classmethod
    def _pinned(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{40}", value):
            raise ValueError(
                "must be a commit, 40 hexadecimal digits: a branch or tag may change, and with it"
                " the results"
            )
        return value

    @model_validator(mode="after")
    def _readable(self) -> Spec:
        if self.members is None:
            if any(PurePosixPath(pattern).suffix not in readers.SUFFIXES for pattern in self.files):
                raise ValueError(
                    f"`files` must end in {', '.join(readers.SUFFIXES)}, or, with `members`,"
                    f" {', '.join(archives.TAR)}"
                )
        else:
            if not self.files or not all(
                pattern.endswith(tuple(archives.TAR)) for pattern in self.files
            ):
                raise ValueError(
                    f"`members` goes with `files` that end in {', '.join(archives.TAR)}"
                )
            if PurePosixPath(self.members).suffix not in readers.TEXT:
                raise ValueError(f"`members` must end in {', '.join(readers.TEXT)}")
        return self


def serves(spec: Spec) -> tuple[str, ...]:
    """What the source can be used for: "dataset" or "model"."""
    return ("dataset",) if spec.files else ("model",)


def local_paths(spec: Spec, folder: str) -> list[str]:
    """Nothing has to be there: the files are fetched."""
    return []


def fetch_spec(spec: Spec, use: str) -> dict[str, Any]:
    """The settings of fetch_hub.py; use: "dataset" or "model"."""
    patterns = list(spec.files) if use == "dataset" else list(MODEL_FILES)
    return {
        "repo": spec.repo,
        "revision": spec.revision,
        "repo_type": use,
        "patterns": patterns,
    }


def rows(spec: Spec, paths: list[Path]) -> Iterator[readers.Row]:
    """Rows of the files in the order of the patterns, then by name; paths: the folder that
    fetch_hub.py made.

    Raises NeftError if a pattern matches no file, or a file can't be read or was changed since.
    """
    folders.check(paths[0])
    for name in _matching(spec, paths[0]):
        file = paths[0] / name
        if spec.members is None:
            found = readers.read(file)
            yield from ((where, {**row, readers.FILE: file.stem}) for where, row in found)
            continue
        for member, content in archives.texts(file, spec.members):
            path = PurePosixPath(member)
            for where, row in readers.parse(
                io.BytesIO(content), f"{file}/{member}", readers.SUFFIXES[path.suffix]
            ):
                yield where, {**row, readers.FILE: path.stem}


def model(spec: Spec, paths: list[Path], scratch: Path) -> Path:
    """The Hugging Face directory of a model: the folder that fetch_hub.py made. Raises NeftError if
    that was changed since.
    """
    folders.check(paths[0])
    return paths[0]


def _matching(spec: Spec, folder: Path) -> list[str]:
    names = [
        name for name in folders.contents(folder) if not name.startswith(".")
    ]  # Snakemake leaves a time stamp there
    found: dict[str, None] = {}
    for pattern in spec.files:
        matches = [name for name in names if fnmatchcase(name, pattern)]
        if not matches:
            raise NeftError(
                f"{spec.repo}: no file matches '{pattern}'; there are: {', '.join(names)}"
            )
        found |= dict.fromkeys(matches)
    return list(found)
