"""A copy of the workflow with a tiny configuration, and a way to ask Snakemake what it would do."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from neft.results import provenance

ROOT = Path(__file__).resolve().parents[2]
COMPUTING = (
    "train_probe",
    "tune_model",
    "generate_outputs",
    "measure_losses",
    "run_benchmark",
    "sum_gradients",
    "read_activations",
    "read_states",
    "rank_neurons",
    "compare_neurons",
)
"""The rules that without a GPU take all cores (and predict_comet, which runs alone)."""
SIDE_BY_SIDE = ("--set-threads", *(f"{rule}=1" for rule in COMPUTING))
"""Arguments with which as many jobs run at once as there are cores: a tiny model's job is mostly
imports, on one core.
"""
PARTS = [
    "Snakefile",
    "rules",
    "scripts",
    "neft",
    "envs",
    "profiles",
    "report",
    "config.yaml",
    "configs",
]


class Workflow:
    """A folder that holds a copy of the project, so that a test may edit code, configuration and
    data.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, folder / part)
        shutil.copy(Path(__file__).parent / "watch/sitecustomize.py", folder)
        self.configure(config)

    def configure(self, config: dict[str, Any]) -> None:
        """Write config.yaml."""
        self.config = config
        (self.folder / "config.yaml").write_text(
            yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )

    def snakemake(
        self,
        *arguments: str,
        check: bool = True,
        environment: Mapping[str, str] = os.environ,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake as a user would; its output is in `stdout`, the log included."""
        result = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
            **options,
        )
        assert not check or result.returncode == 0, result.stdout[-8000:]
        return result

    def undeclared_reads(self) -> set[tuple[str, str]]:
        """(script, file) of every file below `results/` that a job read without having it, or the
        folder it lies in, among its inputs or outputs: it may be read before it is written.

        The record of provenance reads what Snakemake's notes name, after everything else.
        """
        notes = provenance.notes(self.folder / ".snakemake/metadata", "results/")
        found = set()
        for file in (self.folder / ".reads").glob("*.json"):
            arguments, read = json.loads(file.read_text())
            rule = Path(arguments[0]).stem
            made = [notes[one] for one in arguments if one in notes and notes[one]["rule"] == rule]
            if not made or rule == "record_provenance":
                continue
            written = [path for path, note in notes.items() if note["log"] == made[0]["log"]]
            known = set(map(Path, (*made[0]["input"], *written)))
            for path in map(Path, read):
                inside = {path, *path.parents}
                own = any(part.startswith(".") or part.endswith(".parts") for part in path.parts)
                if not own and "checkpoints" not in path.parts and not inside & known:
                    found.add((arguments[0], str(path)))
        return found

    def would_run(self, *arguments: str) -> set[str]:
        """The jobs of a dry run, each as "rule" or "rule wildcard" with the wildcards that tell
        jobs of one rule apart.

        The dataset is among them if the configuration has several.
        """
        several = ["dataset"] if len(self.config["datasets"]) > 1 else []
        telling = [*several, "method", "split", "mask", "metric", "trial", "package", "variant"]
        output = self.snakemake("--dry-run", *arguments).stdout
        jobs = set()
        for block in re.split(r"\n(?=(?:local)?(?:rule|checkpoint) \w+:\n)", output)[1:]:
            rule = re.match(r"(?:local)?(?:rule|checkpoint) (\w+):", block)[1]
            line = re.search(r"^    wildcards: (.*)$", block, re.M)
            wildcards = dict(pair.split("=", 1) for pair in line[1].split(", ")) if line else {}
            names = [wildcards[key] for key in telling if wildcards.get(key)]
            jobs.add(" ".join([rule, *names]))
        return jobs - {"all"}
