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

from neft.storage import files

METADATA = Path(".snakemake/metadata")
NAMES = ("provenance.json", ".provenance.json")
"""How files end that say what made others."""

Job = dict[str, Any]
"""{rule, spec, code, inputs: [path], outputs: [path]}"""


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
