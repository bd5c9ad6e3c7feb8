"""Download one wheel or sdist and check that it is the pinned file. Nothing of the package is
installed or run.

Writes  <file>          the wheel (.whl) or sdist (.tar.gz) as published
        <record>.json   {package, version, file, sha256, bytes}

pip downloads wheels, and its settings hold for both (indexes, certificates; PIP_FIND_LINKS and
PIP_NO_INDEX without a network).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from neft import progress
from neft.data import package_index
from neft.errors import NeftError
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files

LAST_LINES = 5


class Spec(Strict):
    """Which file of which package."""

    package: str
    version: str
    """The exact version."""
    distribution: Literal["wheel", "sdist"]
    sha256: str
    """64 hexadecimal digits."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--file", required=True, type=Path)
    arguments.add_argument("--record", required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    args.file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.file.parent, prefix=".fetch.") as scratch:
        file = (
            download_wheel(spec, Path(scratch))
            if spec.distribution == "wheel"
            else download_sdist(spec, Path(scratch))
        )
        found = files.sha256(file)
        if found != spec.sha256:
            raise wrong_hash(spec, found)
        record = {
            "package": spec.package,
            "version": spec.version,
            "file": file.name,
            "sha256": found,
        }
        files.write_json(args.record, {**record, "bytes": file.stat().st_size})
        file.replace(args.file)


def download_sdist(spec: Spec, scratch: Path) -> Path:
    """Fetch the sdist into `scratch`. Raises NeftError that says what to do if that fails."""
    package, version = spec.package, spec.version
    try:
        return package_index.download_sdist(package, version, spec.sha256, scratch)
    except NeftError as error:
        raise NeftError(
            f"{error}\nWithout a network here, download the file from the package's page where"
            " there is one, copy it into a folder of this machine and set PIP_FIND_LINKS to that"
            " folder and PIP_NO_INDEX=1."
        ) from error


def download_wheel(spec: Spec, scratch: Path) -> Path:
    """Let pip fetch the wheel below `scratch`. Raises NeftError that says what to do if it
    can't.
    """
    pinned = f"{spec.package}=={spec.version}"
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{pinned} --hash=sha256:{spec.sha256}\n")
    log = scratch / "pip.log"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
    ]
    command += [
        "--retries=5",
        "--no-input",
        "--disable-pip-version-check",
        "--requirement",
        str(requirements),
    ]
    command += ["--dest", str(scratch / "wheels")]
    with log.open("wb") as output:
        # TMPDIR: pip's unfinished downloads lie under `scratch`, where the bar sees them grow and a
        # failure leaves none behind.
        pip = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "TMPDIR": str(scratch)}
        )
        watch(pip, scratch, pinned)
    text = log.read_text(errors="replace")
    if got := re.search(r"Got\s+([0-9a-f]{64})", text):
        raise wrong_hash(spec, got[1])
    wheels = list((scratch / "wheels").glob("*.whl"))
    if pip.returncode or not wheels:
        last = "\n".join(f"  {line}" for line in text.strip().splitlines()[-LAST_LINES:])
        raise NeftError(
            f"could not download {pinned}: pip said\n{last}\nWithout a network here, run `pip"
            f" download --no-deps {pinned}` where there is one, copy the wheel into a folder of"
            " this machine and set PIP_FIND_LINKS to that folder and PIP_NO_INDEX=1."
        )
    return wheels[0]


def watch(process: subprocess.Popen[bytes], folder: Path, what: str) -> None:
    """Show how many megabytes have come, until the process ends."""
    with progress.bar(0, f"downloading {what}", "MB") as bar:
        while process.poll() is None:
            time.sleep(0.2)
            bar.update(sum(size(path) for path in folder.rglob("*.whl")) // 1_000_000 - bar.n)


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # pip has just moved it
        return 0


def wrong_hash(spec: Spec, found: str) -> NeftError:
    return NeftError(
        f"{spec.package}=={spec.version}: refused, the {spec.distribution}'s sha256 is"
        f" {found}, but the configuration pins {spec.sha256}; correct `sha256` only if you trust"
        " the new file"
    )


if __name__ == "__main__":
    run(main)
