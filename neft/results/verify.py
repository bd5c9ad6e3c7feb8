"""Recheck every hash in a folder of results, and say what was made by what.

Reads   results/<name>/   provenance files, the records of models, deltas, masks and what was fetched, and all that these name

What is not finished has no provenance yet; records and the hashes inside of safetensors files are
checked all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neft.errors import NeftError
from neft.results import provenance
from neft.storage import files

SEALED = ("similarity", "gradient", "states", "mask", "tune", "rank")
"""Stages whose safetensors files carry a hash of their own content."""


@dataclass
class Findings:
    """What a check of one experiment found."""

    checked: int = 0
    """Hashes that were compared."""
    wrong: list[str] = field(default_factory=list)
    """A line for each file that isn't what was recorded, beginning with its path."""
    made: list[str] = field(default_factory=list)
    """A line for each job: what it made, by which rule, out of what."""

    sums: dict[Path, str] = field(default_factory=dict)
    """SHA-256 of every file that was read: several records may name one."""

    def compare(self, path: Path, what: str, expected: object, found: object) -> None:
        """Count one comparison, and note it if the two differ."""
        self.checked += 1
        if expected != found:
            self.wrong.append(f"{path}: {what} {expected}, found {found}")

    def compare_sum(self, path: Path, what: str, expected: str) -> None:
        """Compare a file's SHA-256."""
        if path not in self.sums:
            self.sums[path] = files.sha256(path) if path.is_file() else "no such file"
        self.compare(path, what, expected, self.sums[path])


def verify(results: Path) -> Findings:
    """Check one experiment, `results/<name>`; whatever is wrong is in the findings. Raises
    NeftError if it isn't there.
    """
    if not results.is_dir():
        raise NeftError(
            f"{results}: no such folder; expected the results of an experiment, results/<name>"
        )
    found = Findings()
    for check in (_records, _sealed, _provenance):
        check(results, found)
    found.wrong = list(dict.fromkeys(found.wrong))
    return found


def _records(results: Path, found: Findings) -> None:
    """Models, deltas and what was fetched, against the record that was written with them."""
    for record in [
        *results.glob("model/*.json"),
        *results.glob("fetch/**/*.json"),
        *results.glob("tune/**/delta.json"),
    ]:
        target = (
            record.with_suffix(".safetensors")
            if record.name == "delta.json"
            else record.with_suffix("")
        )
        if target.name.startswith(".") or any(
            part.startswith(".") for part in record.relative_to(results).parts
        ):
            continue
        try:
            content = files.read_json(record)
        except NeftError as error:
            found.wrong.append(str(error))
            continue
        if not isinstance(content, dict):
            continue  # a file of a fetched folder
        sums = (
            {target / name: value for name, value in content.get("files", {}).items()}
            if target.is_dir()
            else {}
        )
        if "sha256" in content:
            sums[target] = content["sha256"]
        for path, expected in sums.items():
            found.compare_sum(path, f"{record.name} says", expected)


def _sealed(results: Path, found: Findings) -> None:
    """Our own safetensors files against the hash inside of them, and masks against their record."""
    from neft.core.mask import NeuronMask
    from neft.storage import sealed

    for path in sorted(
        path for stage in SEALED for path in (results / stage).rglob("*.safetensors")
    ):
        if "checkpoints" in path.parts or path.name.startswith("."):
            continue  # of a run that isn't over
        found.checked += 1
        try:
            form = sealed.format_of(path)
            if form == "mask" and path.with_suffix(".json").exists():
                record = path.with_suffix(".json")
                found.compare(
                    record, "says", files.read_json(record)["sha256"], NeuronMask.load(path).sha256
                )
            else:
                sealed.load(path, form or "neft")
        except NeftError as error:
            found.wrong.append(str(error))


def _provenance(results: Path, found: Findings) -> None:
    """Everything that a provenance file lists, and the hashes of inputs that a tuning noted for
    itself.
    """
    root = results.parent.parent
    for path in sorted(
        file for file in results.rglob("*provenance.json") if file.name.endswith(provenance.NAMES)
    ):
        try:
            content = files.read_json(path)
            listed, jobs, records = content["files"], content["jobs"], content.get("records", {})
        except (NeftError, KeyError, TypeError) as error:
            found.wrong.append(f"{path}: not a provenance file: {error}")
            continue
        for name, entry in listed.items():
            if "sha256" in entry:
                found.compare_sum(root / name, f"{path.relative_to(results)} says", entry["sha256"])
        for name, expected in records.items():
            found.compare(root / name, "its content", expected, _content(root / name))
        for job in jobs if path == results / "provenance.json" else ():
            found.made.append(
                f"{', '.join(job['outputs'])}\n    {job['rule']} of"
                f" {', '.join(job['inputs']) or 'the network'}"
            )
            _tuning(root, job, found)


def _tuning(root: Path, job: provenance.Job, found: Findings) -> None:
    """A tuning's or probe's metrics against the inputs that they say they are of."""
    metrics = next((root / path for path in job["outputs"] if path.endswith("/metrics.json")), None)
    content = (
        _content(metrics) if metrics and job["rule"] in ("tune_model", "train_probe") else None
    )
    if metrics and isinstance(content, dict):
        data = {f"{split}.jsonl": sha256 for split, sha256 in content["data_sha256"].items()}
        for path in (root / name for name in job["inputs"]):
            expected = content["mask_sha256"] if "mask" in path.parts else data.get(path.name)
            if expected:
                found.compare_sum(
                    path, f"{metrics.parent.relative_to(root)} was trained with", expected
                )


def _content(path: Path) -> Any:
    try:
        return files.read_json(path)
    except NeftError:
        return "no readable JSON"
