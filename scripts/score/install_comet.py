"""Build COMET's own Python environment from its pins, unless it is there already.

Reads   comet.txt       pins, as pip takes them
Writes  <environment>/  a virtual environment with `bin/python`
        <ready>         the SHA-256 of the pins that are installed

Several experiments may ask at the same time: one builds, the others wait and find it done. A build
that was killed leaves no stamp and starts anew.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from neft.errors import NeftError
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files


class Spec(Strict):
    """What the pins are for."""

    python: str
    """The version: `3.11`."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--pins", required=True)
    arguments.add_argument("--environment", required=True)
    arguments.add_argument("--ready", required=True)
    args = arguments.parse_args(argv)

    folder = Path(args.environment)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Not the file that rules wait for: Snakemake deletes that one before it starts a job,
        # whatever the reason.
        stamp, pins = folder / "installed", files.sha256(args.pins)
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != pins:
            stamp.unlink(missing_ok=True)
            build(folder / "venv", Path(args.pins), args.spec.python)
            files.write_text(stamp, pins)
    files.write_text(args.ready, pins)


def build(folder: Path, pins: Path, version: str) -> None:
    """Make a new virtual environment and install the pins. Raises NeftError that says what to
    do.
    """
    found = "{}.{}".format(*sys.version_info)
    python = sys.executable if found == version else shutil.which(f"python{version}")
    if python is None:
        raise NeftError(
            f"COMET's pins are for Python {version}, this is {found}; install python{version} or"
            " use `--sdm conda`"
        )
    for command in (
        [python, "-m", "venv", "--clear", str(folder)],
        [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--requirement", str(pins)],
    ):
        print(" ".join(command), flush=True)
        if subprocess.run(command, check=False).returncode:
            raise NeftError(
                f"failed: {' '.join(command)}; without a network, build it on a machine that has"
                " one and copy it here"
            )


if __name__ == "__main__":
    run(main)
