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
    for check in (_records, _sealed, _provenance, _strangers):
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
        listed = content.get("files", {}) if target.is_dir() else {}
        if not isinstance(listed, dict):
            found.wrong.append(f"{record}: not a record: files must be an object")
            continue
        sums = {target / name: value for name, value in listed.items()}
        if "sha256" in content:
            sums[target] = content["sha256"]
        for path, expected in sums.items():
            found.compare_sum(path, f"{record.name} says", str(expected))


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
                said = files.read_json(record)
                expected = said.get("sha256") if isinstance(said, dict) else None
                found.compare(record, "says", expected, NeuronMask.load(path).sha256)
            else:
                sealed.load(path, form or "neft")
        except NeftError as error:
            found.wrong.append(str(error))


def _provenance(results: Path, found: Findings) -> None:
    """Everything that a provenance file lists, and the hashes of inputs that a tuning noted for
    itself.
    """
    root = results.parent.parent
    whole = results / "provenance.json"
    if not whole.exists() and (results / "tables").is_dir():
        found.wrong.append(f"{whole}: missing, though there are tables; run snakemake again")
    for path in sorted(
        file for file in results.rglob("*provenance.json") if file.name.endswith(provenance.NAMES)
    ):
        try:
            record = provenance.read(path)
        except NeftError as error:
            found.wrong.append(str(error))
            continue
        read = {name for job in record.jobs for name in job.inputs}
        for name, entry in record.files.items():
            if name not in read and not (root / name).resolve().is_relative_to(results.resolve()):
                found.wrong.append(f"{path}: lists {name}, which lies outside of {results}")
            elif entry.sha256:
                found.compare_sum(root / name, f"{path.relative_to(results)} says", entry.sha256)
        for name, expected in record.records.items():
            found.compare(root / name, "its content", expected, _content(root / name))
        for job in record.jobs if path == whole else ():
            found.made.append(
                f"{', '.join(job.outputs)}\n    {job.rule} of"
                f" {', '.join(job.inputs) or 'the network'}"
            )
            _tuning(root, job, found)


def _tuning(root: Path, job: provenance.JobRecord, found: Findings) -> None:
    """A tuning's or probe's metrics against the inputs that they say they are of."""
    metrics = next((root / path for path in job.outputs if path.endswith("/metrics.json")), None)
    if metrics is None or job.rule not in ("tune_model", "train_probe"):
        return
    content = _content(metrics)
    data = content.get("data_sha256") if isinstance(content, dict) else None
    if not isinstance(data, dict):
        found.wrong.append(f"{metrics}: not the metrics of a training: data_sha256 is missing")
        return
    sums = {f"{split}.jsonl": sha256 for split, sha256 in data.items()}
    for path in (root / name for name in job.inputs):
        expected = content.get("mask_sha256") if "mask" in path.parts else sums.get(path.name)
        if expected:
            found.compare_sum(
                path, f"{metrics.parent.relative_to(root)} was trained with", str(expected)
            )


def _strangers(results: Path, found: Findings) -> None:
    """Files that nobody recorded, once there is a record of the whole."""
    try:
        record = provenance.read(results / "provenance.json")
    except NeftError:
        return  # _provenance has said so
    root = results.parent.parent
    known = {root / name for name in record.files}
    known |= {root / name for job in record.jobs for name in (*job.inputs, *job.outputs)}
    folders = {path for path in known if path.is_dir()}
    for folder in folders:
        recorded = _content(folder.with_name(f"{folder.name}.json"))
        listed = recorded.get("files") if isinstance(recorded, dict) else None
        if isinstance(listed, dict):
            known |= {folder / name for name in listed}
    for path in sorted(file for file in results.rglob("*") if file.is_file()):
        expected = path.suffix == ".log" or path.name.endswith(
            ("benchmark.tsv", ".snakemake_timestamp")  # Snakemake's own
        )
        ours = path.name in ("provenance.json", "report.html") and path.parent == results
        if path not in known and not expected and not ours:
            found.wrong.append(f"{path}: nobody recorded this file")


def _content(path: Path) -> Any:
    try:
        return files.read_json(path)
    except NeftError:
        return "no readable JSON"
