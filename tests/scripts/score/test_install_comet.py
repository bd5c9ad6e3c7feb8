"""The environment's bookkeeping, with pins that need nothing; tests/workflow/test_comet.py builds
the real one.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from neft.errors import NeftError
from neft.storage import files
from scripts.score import install_comet

VERSION = "{}.{}".format(*sys.version_info)


def install(folder, pins="", version=VERSION):
    (folder / "pins.txt").write_text(pins)
    paths = [
        "--pins",
        str(folder / "pins.txt"),
        "--environment",
        str(folder / "env"),
        "--ready",
        str(folder / "env/ready"),
    ]
    install_comet.main(["--spec", json.dumps({"python": version}), *paths])
    return folder / "env"


@pytest.mark.slow
def test_builds_an_environment_that_runs_and_builds_it_again_only_for_other_pins(tmp_path):
    environment = install(tmp_path)
    assert (
        subprocess.run([environment / "venv/bin/python", "-c", "import pip"], check=True).returncode
        == 0
    )
    assert (environment / "ready").read_text() == files.sha256(tmp_path / "pins.txt")
    mark = environment / "venv/mark"
    mark.touch()
    (environment / "ready").unlink()  # as Snakemake does before it starts a job
    assert (install(tmp_path) / "ready").exists() and mark.exists()
    install(tmp_path, pins="# other pins\n")
    assert not mark.exists()


def test_a_build_that_failed_or_was_killed_is_not_taken_for_finished(tmp_path):
    with pytest.raises(NeftError, match=r"failed: .* pip install"):
        install(tmp_path, pins="no such requirement !\n")
    assert not (tmp_path / "env/ready").exists() and not (tmp_path / "env/installed").exists()


def test_a_python_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NeftError, match=r"pins are for Python 2\.6, this is .*--sdm conda"):
        install(tmp_path, version="2.6")
