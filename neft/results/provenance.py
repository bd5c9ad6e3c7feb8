"""Which job made which file of an experiment, out of what, with the hash of every file.

Reads   .snakemake/metadata/   Snakemake's own note on every output: rule, inputs, params; named by the output's path in base64
        results/<name>/        the files themselves; of models, deltas and what was fetched the records that were made with them
"""

from __future__ import annotations

import ast
import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from neft.errors import NeftError
from neft.storage import files

METADATA = Path(".snakemake/metadata")
NAMES = ("provenance.json", ".provenance.json")
"""How files end that say what made others."""

Job = dict[str, Any]
"""{rule, spec, code, inputs: [path], outputs: [path], ended: seconds since 1970, or None}"""


class JobRecord(BaseModel):
    """One job, as a provenance file tells it."""

    rule: str
    inputs: list[str]
    outputs: list[str]
    ended: float | None = None


class FileRecord(BaseModel):
    """One file: its hash, or the record that holds the hashes of a folder."""

    sha256: str | None = None
    record: str | None = None


class Provenance(BaseModel):
    """What a provenance file holds of jobs and files; the rest of it is for people."""

    jobs: list[JobRecord]
    files: dict[str, FileRecord]
    records: dict[str, Any] = {}


def read(path: Path) -> Provenance:
    """Read a provenance file. Raises NeftError, naming it, if it was changed or has another form."""
    content = files.read_json(path)
    if not isinstance(content, dict):
        raise NeftError(f"{path}: not a provenance file: expected an object")
    files.check_seal(path, content)
    try:
        return Provenance.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise NeftError(f"{path}: not a provenance file: {where}: {first['msg']}") from None


def notes(metadata: Path, below: str) -> dict[str, dict[str, Any]]:
    """Snakemake's notes on the outputs whose paths start with `below`, by path; none where it keeps
    none.
    """
    found = {}
    for file in sorted(path for path in metadata.rglob("*") if path.is_file()):
        # A path too long for one name goes on in folders that are marked by "@".
        name = "".join(part.removeprefix("@") for part in file.relative_to(metadata).parts)
        output = base64.urlsafe_b64decode(name).decode()
        if output.startswith(below):
            found[output] = files.read_json(file)
    return found


def jobs(found: Mapping[str, Mapping[str, Any]]) -> list[Job]:
    """Notes on outputs as jobs, those of which anything still exists; what was temporary is among
    their outputs.
    """
    result: dict[str, Job] = {}
    for output, note in found.items():
        if not output.endswith(NAMES):
            spec, code = _params(note["params"])
            job = {
                "rule": note["rule"],
                "spec": spec,
                "code": code,
                "inputs": note["input"],
                "outputs": [],
                "ended": note.get("endtime"),
            }
            # A log belongs to one job alone.
            result.setdefault(str(note["log"]), job)["outputs"].append(output)
    return [
        job for job in result.values() if any(Path(output).exists() for output in job["outputs"])
    ]


def behind(targets: Iterable[str], made: Iterable[Job]) -> list[Job]:
    """The jobs that `targets` come from, directly or not."""
    by_output = {output: job for job in made for output in job["outputs"]}
    todo, found = list(targets), {}
    while todo:
        job = by_output.get(todo.pop())
        if job is not None and id(job) not in found:
            found[id(job)] = job
            todo += job["inputs"]
    return list(found.values())


def paths(targets: Iterable[str], made: Iterable[Job]) -> list[str]:
    """`targets`, and everything that these jobs read or wrote."""
    return sorted({*targets, *(path for job in made for path in (*job["inputs"], *job["outputs"]))})


def changed(
    former: Provenance, made: Iterable[Job], now: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Outputs of jobs that did not run since `former` was recorded, and yet have another hash `now`.

    Hashing what lies there would turn damage into a record of it.
    """
    ended = {output: job.ended for job in former.jobs for output in job.outputs}
    return [
        output
        for job in made
        for output in job["outputs"]
        if job["ended"] is not None and job["ended"] == ended.get(output)
        if output in now and output in former.files
        if former.files[output].sha256 not in (None, now[output].get("sha256"))
    ]


def sums(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """{sha256, bytes} of each file that exists; of a folder what its record says: {record}."""
    result: dict[str, dict[str, Any]] = {}
    for name in names:
        path = Path(name)
        if path.is_file():
            # What may be gigabytes isn't read again: the record that was made with it has its hash.
            known = next(
                (record["sha256"] for record in _records(path) if "sha256" in record), None
            )
            result[name] = {"sha256": known or files.sha256(path), "bytes": path.stat().st_size}
        elif path.is_dir() and Path(f"{name}.json").exists():
            result[name] = {"record": f"{name}.json"}
    return result


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """The record beside a delta or beside what was fetched."""
    place = (
        path.with_name("delta.json")
        if path.name == "delta.safetensors"
        else path.with_name(f"{path.name}.json")
    )
    if place.exists():
        yield files.read_json(place)


def _params(values: Iterable[str]) -> tuple[Any, str | None]:
    """Spec and code among a job's params, which Snakemake keeps as Python literals without their
    names.
    """
    spec, code = None, None
    for value in map(ast.literal_eval, values):
        if isinstance(value, str) and value.startswith("{"):
            spec = json.loads(value)
        elif isinstance(value, str):
            code = value
    return spec, code
