"""Pin what pyproject.toml asks for: install it into a fresh environment and write down what came (`make lock`).

Reads   pyproject.toml
Writes  envs/main.txt   pins of the library and the workflow
        envs/main.yaml  the same pins for `snakemake --sdm conda`
        envs/dev.txt    what tests and linters add to it
"""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ENVS = Path(__file__).resolve().parent


def pins(*groups: str) -> list[str]:
    """What `pip freeze` says after installing groups of requirements together in an empty environment."""
    project = tomllib.loads((ENVS.parent / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [line for group in groups for line in project["optional-dependencies"][group]]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = f"{folder}/bin/python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
        frozen = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout
    # A local build of torch ("+cpu") and the GPU libraries that another build brings are the user's machine's business.
    return [
        line.split("+")[0] for line in frozen.splitlines() if not line.startswith(("nvidia-", "cuda-", "triton", "setuptools"))
    ]


def conda(names: list[str]) -> str:
    """The same pins as a conda environment."""
    lines = ["channels: [conda-forge]", "dependencies:", "  - python=3.11", "  - pip", "  - pip:"]
    return "\n".join([*lines, *(f"      - {name}" for name in names)]) + "\n"


if __name__ == "__main__":
    main = pins("workflow")
    dev = [line for line in pins("workflow", "dev") if line not in main]
    (ENVS / "main.txt").write_text("\n".join(main) + "\n")
    (ENVS / "main.yaml").write_text(conda(main))
    (ENVS / "dev.txt").write_text("\n".join(["-r main.txt", *dev]) + "\n")
