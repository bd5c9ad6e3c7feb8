"""Pin what is asked for: install it into a fresh environment and write down what came (`make
lock`).

Reads   pyproject.toml  what the library and the workflow need
        envs/comet.in   what COMET needs
Writes  envs/main.txt   pins of the library and the workflow
        envs/comet.txt  pins of COMET's environment
        envs/*.yaml     the same pins for `snakemake --sdm conda`
        envs/dev.txt    what tests and linters add to main.txt
"""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ENVS = ROOT / "envs"


def pins(wanted: list[str]) -> list[str]:
    """What `pip freeze` says after installing these requirements together in an empty
    environment.
    """
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = f"{folder}/bin/python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
        frozen = subprocess.run(
            [python, "-m", "pip", "freeze", "--all"], check=True, capture_output=True, text=True
        ).stdout
    # A local build of torch ("+cpu") and the GPU libraries that another build brings are the user's
    # machine's business.
    pinned = [line.split("+")[0] for line in frozen.splitlines()]
    unasked = ("nvidia-", "cuda-", "triton", "pip==", "setuptools==", "wheel==")
    return [line for line in pinned if line in wanted or not line.startswith(unasked)]


def project(*groups: str) -> list[str]:
    """What pyproject.toml asks for, with some groups of optional dependencies."""
    wanted: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: list[str] = [*wanted["dependencies"]]
    for group in groups:
        found += wanted["optional-dependencies"][group]
    return found


def conda(names: list[str]) -> str:
    """The same pins as a conda environment."""
    lines = ["channels: [conda-forge]", "dependencies:", "  - python=3.11", "  - pip", "  - pip:"]
    return "\n".join([*lines, *(f"      - {name}" for name in names)]) + "\n"


def write(name: str, names: list[str]) -> None:
    """Write one environment for pip and for conda."""
    (ENVS / f"{name}.txt").write_text("\n".join(names) + "\n")
    (ENVS / f"{name}.yaml").write_text(conda(names))


if __name__ == "__main__":
    main = pins(project("workflow"))
    write("main", main)
    dev = [line for line in pins(project("workflow", "dev")) if line not in main]
    (ENVS / "dev.txt").write_text("\n".join(["-r main.txt", *dev]) + "\n")
    write(
        "comet",
        pins(
            [
                line
                for line in (ENVS / "comet.in").read_text().split("\n")
                if line and not line.startswith("#")
            ]
        ),
    )
