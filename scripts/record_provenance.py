"""Record what made the results: code, machine, packages, and the hashes of model, data, masks and deltas.

Reads   the files given: JSON records are copied, of all others the SHA-256 and size are taken
Writes  provenance.json   {time, git, python, platform, machine, packages, spec, records, files}

--spec  anything that belongs in the record, such as {"config_sha256": "…", "code": {rule: fingerprint}, "runs": […]}
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

from neft import files
from neft.cli import parser, run


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--records", nargs="*", default=[])
    arguments.add_argument("--provenance", required=True)
    args = arguments.parse_args(argv)

    records = sorted(path for path in args.records if path.endswith(".json"))
    others = sorted(path for path in args.records if not path.endswith(".json"))
    result = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": git(Path(__file__).parent),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": machine(),
        "packages": dict(
            sorted({d.metadata["Name"]: d.version for d in distributions()}.items(), key=lambda item: item[0].lower())
        ),
        "spec": args.spec,
        "records": {path: files.read_json(path) for path in records},
        "files": {path: {"sha256": files.sha256(path), "bytes": Path(path).stat().st_size} for path in others},
    }
    files.write_json(args.provenance, result)


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory in bytes, and GPUs with their memory as the driver names them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    gpus = _output(["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"])
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": gpus.splitlines() if gpus else [],
    }


def git(folder: Path) -> dict[str, Any] | None:
    """The checked-out commit and whether files differ from it; None outside a checkout (a downloaded archive)."""
    commit = _output(["git", "-C", str(folder), "rev-parse", "HEAD"])
    if commit is None:
        return None
    return {
        "commit": commit,
        "changed": bool(_output(["git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no"])),
    }


def _output(command: list[str]) -> str | None:
    """What a program prints, or None if there is no such program or it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


if __name__ == "__main__":
    run(main)
