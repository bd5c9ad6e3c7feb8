"""Record what made the results: code, machine, packages, and for every file its hash and the job
that made it, out of what.

Reads   RESULTS/            all of the experiment's files; models, deltas and what was fetched are told by their records
        .snakemake/metadata Snakemake's notes on its outputs
Writes  provenance.json     {time, git, python, platform, machine, packages, spec, jobs: [{rule, spec, code, inputs, outputs}],
                            files: {path: {sha256, bytes}}, records: {path: record}, sha256}
        RESULTS/tune/…/chosen/provenance.json, RESULTS/score/…/<test>.provenance.json
                            the same without records, of all that one run's tuning and its scores come from

Nothing is named one by one: of a large experiment that is more than a command line holds.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from neft.errors import NeftError
from neft.results import provenance
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files

RECORDS = (
    "model/*.json",
    "data/*/counts.json",
    "tune/*/*/*/*/chosen/delta.json",
    "tune/*/*/*/*/chosen/metrics.json",
    "score/*/*/*/*/*/*.json",
)
"""What is copied, since it is small and says most."""


class Spec(Strict):
    """What belongs in the record."""

    config: dict[str, Any]
    """The whole configuration."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--results", required=True, type=Path)
    arguments.add_argument("--provenance", required=True)
    args = arguments.parse_args(argv)

    made = provenance.jobs(provenance.notes(provenance.METADATA, f"{args.results}/"))
    results = products(args.results)
    sums = provenance.sums(
        provenance.paths([path for some in results.values() for path in some], made)
    )
    _refuse_damage(Path(args.provenance), made, sums)
    head = environment() | {"spec": args.spec.model_dump()}
    for target, some in results.items():
        jobs = provenance.behind(some, made)
        known = {path: sums[path] for path in provenance.paths(some, jobs) if path in sums}
        files.write_json(target, files.seal(head | {"jobs": jobs, "files": known}))
    # The whole experiment's record holds the hashes of the others, so that none can go unnoticed.
    sums |= provenance.sums(map(str, results))
    records = {
        str(path): files.read_json(path)
        for pattern in RECORDS
        for path in sorted(args.results.glob(pattern))
    }
    whole = head | {"jobs": made, "files": sums, "records": records}
    files.write_json(args.provenance, files.seal(whole))


def _refuse_damage(path: Path, made: list[provenance.Job], sums: dict[str, dict[str, Any]]) -> None:
    """Raise NeftError if a file was changed since the last record, though its job did not run."""
    if not path.exists():
        return
    try:
        former = provenance.read(path)
    except NeftError:
        return  # it is written anew; `neft verify` is what names a changed record
    if damaged := provenance.changed(former, made, sums):
        raise NeftError(
            "changed since its job ended: "
            + ", ".join(damaged)
            + "; delete what is damaged and run snakemake again"
        )


def products(root: Path) -> dict[Path, list[str]]:
    """The results of every run, by the file that says where they come from: its tuning; its outputs
    or losses, and scores.
    """
    result = {}
    for record in sorted(root.glob("tune/*/*/*/*/chosen/delta.json")):
        result[record.with_name("provenance.json")] = [record, record.with_suffix(".safetensors")]
    answers: dict[Path, list[Path]] = {}
    for stage in (root / "generate", root / "losses"):
        for rows in sorted(stage.glob("*/*/*/*/*.jsonl")):
            answers.setdefault(rows.relative_to(stage).with_suffix(""), []).append(rows)
    for place, rows_of_run in answers.items():
        scores = root / "score" / place
        target = scores.with_name(f"{place.name}.provenance.json")
        result[target] = [*rows_of_run, *sorted(scores.glob("*.json"))]
    return {target: list(map(str, some)) for target, some in result.items()}


def environment() -> dict[str, Any]:
    """Time, code, interpreter, machine and packages, as they are now."""
    packages = {
        distribution.metadata["Name"]: distribution.version for distribution in distributions()
    }
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": git(Path(__file__).parent),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": machine(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory in bytes, and GPUs with their memory as
    the driver names them.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    gpus = _output(
        ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    )
    return {
        "cpu": model,
        "cores": (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        ),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": gpus.splitlines() if gpus else [],
    }


def git(folder: Path) -> dict[str, Any] | None:
    """The checked-out commit and whether files differ from it; None outside a checkout (a
    downloaded archive).
    """
    commit = _output(["git", "-C", str(folder), "rev-parse", "HEAD"])
    if commit is None:
        return None
    return {
        "commit": commit,
        "changed": bool(
            _output(["git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no"])
        ),
    }


def _output(command: list[str]) -> str | None:
    """What a program prints, or None if there is no such program or it fails."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


if __name__ == "__main__":
    run(main)
