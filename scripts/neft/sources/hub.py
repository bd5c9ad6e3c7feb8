"""Data and models of the Hugging Face hub, pinned to one commit."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from neft import folders, readers
from neft.errors import NeftError
from neft.schema import Strict

FETCHES = "hub"
MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.py")
BUILDERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv"}


class Spec(Strict):
    """A repository of the hub at one commit: a data set (`files` needed) or a model."""

    kind: Literal["hub"]
    """The Hugging Face hub."""
    repo: Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)?$")]
    """`owner/name`."""
    revision: str
    """The commit, 40 hexadecimal digits; a branch or tag may change, so it is refused."""
    files: tuple[str, ...] = ()
    """Data: which files, with wildcards (`en-fr/train-*.parquet`), and so which subset and split: parquet, JSON, CSV or TSV."""
    columns: dict[str, str] = Field({})
    """Data: the column of each field of the task (`translation.en`: en inside translation), where it has another name."""

    @field_validator("revision")
    @classmethod
    def _pinned(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{40}", value):
            raise ValueError("must be a commit, 40 hexadecimal digits: a branch or tag may change, and with it the results")
        return value

    @field_validator("files")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if {Path(pattern).suffix for pattern in value} - set(BUILDERS):
            raise ValueError(f"each must end in one of {', '.join(BUILDERS)}")
        return value


def serves(spec: dict[str, Any]) -> tuple[str, ...]:
    """What the source can be used for: "dataset" or "model"."""
    return ("dataset",) if spec.get("files") else ("model",)


def local_paths(spec: dict[str, Any]) -> list[str]:
    """Nothing has to be there: the files are fetched."""
    return []


def fetch_spec(spec: dict[str, Any], use: str) -> dict[str, Any]:
    """The settings of fetch_hub.py; use: "dataset" or "model"."""
    patterns = list(spec["files"]) if use == "dataset" else list(MODEL_FILES)
    return {"repo": spec["repo"], "revision": spec["revision"], "repo_type": use, "patterns": patterns}


def read(spec: dict[str, Any], paths: list[Path], fields: Sequence[str]) -> Iterator[dict[str, str]]:
    """Records of the task's fields; paths: the folder that fetch_hub.py made. Files in the order of the patterns, then by name.

    Raises NeftError if a pattern matches no file or a file can't be read.
    """
    from datasets import load_dataset

    source = Spec.model_validate(spec)
    columns = readers.columns_of(fields, source.columns, "source.columns")
    for name in _matching(source, paths[0]):
        suffix = Path(name).suffix
        options: dict[str, Any] = {}
        if suffix in (".csv", ".tsv"):  # text as it stands: no guess at numbers, and "NA" or "null" are words
            options = {"converters": dict.fromkeys(columns.values(), str), "keep_default_na": False}
        if suffix == ".tsv":
            options |= {"sep": "\t", "quoting": csv.QUOTE_NONE}
        try:
            # Streaming reads the file itself: no second copy in a cache that could outlive a change of the file.
            file = str(paths[0] / name)
            rows = load_dataset(BUILDERS[suffix], data_files=file, split="train", streaming=True, **options)
            for number, row in enumerate(rows, start=1):
                yield readers.pick((f"{source.repo}/{name}: row {number}", row), columns)
        except (ValueError, OSError) as error:
            raise NeftError(f"{source.repo}/{name}: not readable: {error}") from error


def model(spec: dict[str, Any], paths: list[Path], scratch: Path) -> Path:
    """The Hugging Face directory of a model: the folder that fetch_hub.py made."""
    return paths[0]


def _matching(source: Spec, folder: Path) -> list[str]:
    names = [name for name in folders.contents(folder) if not name.startswith(".")]  # Snakemake leaves a time stamp there
    found: dict[str, None] = {}
    for pattern in source.files:
        matches = [name for name in names if fnmatchcase(name, pattern)]
        if not matches:
            raise NeftError(f"{source.repo}: no file matches '{pattern}'; there are: {', '.join(names)}")
        found |= dict.fromkeys(matches)
    return list(found)
