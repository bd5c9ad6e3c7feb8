"""Several processes in one job: what a user reads when one of them dies, and that none is left
over.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from neft.workflow import processes

SCRIPTS = Path(processes.__file__).parents[2]
HEAD = """
import os, signal, sys, time
from pathlib import Path
from neft.script import run
from neft.errors import NeftError
rank, here = int(os.environ["RANK"]), Path(sys.argv[1])
(here / str(rank)).write_text(f"{os.getpid()} {os.environ['WORLD_SIZE']}")
while not all((here / name).exists() for name in "01"):
    time.sleep(0.01)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a script as two ranks; it finds its rank in `rank`."""
    started = []

    def launch(code: str, count: int = 2) -> subprocess.Popen:
        script = tmp_path / "script.py"
        script.write_text(HEAD + code if count > 1 else code)
        command = [
            sys.executable,
            "-m",
            "neft.workflow.processes",
            str(count),
            str(script),
            str(tmp_path),
        ]
        environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
        started.append(
            subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        )
        return started[-1]

    yield launch
    for process in started:
        process.kill()
        process.communicate()


def pid_of(path: Path) -> int:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.05)
    return int(path.read_text().split()[0])


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_message_for_the_user_is_shown_once_though_every_rank_has_it(start):
    process = start('def main(argv):\n    raise NeftError("no such file: a.json")\nrun(main)')
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "error: no such file: a.json\n")


def test_the_traceback_is_that_of_the_rank_that_failed_first(start):
    process = start(
        'if rank == 1:\n    raise ValueError("the cause")\ntime.sleep(0.05)\nraise'
        ' RuntimeError("connection closed by peer")'
    )
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.startswith("rank 1 of 2:\nTraceback") and "ValueError: the cause" in said
    assert (
        said.endswith("error: rank 1 of 2 failed; the others were ended\n")
        and "connection closed" not in said
    )


def test_a_killed_rank_is_named_and_the_others_end(start, tmp_path):
    process = start("time.sleep(60)")
    other = pid_of(tmp_path / "0")
    os.kill(pid_of(tmp_path / "1"), signal.SIGKILL)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert (
        said
        == "error: rank 1 of 2 was killed by SIGKILL; mostly that is the system, when memory runs"
        " out; the others were ended\n"
    )
    assert gone(other)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_no_rank_outlives_the_job(end, start, tmp_path):
    process = start("time.sleep(60)")
    pids = [pid_of(tmp_path / name) for name in "01"]
    process.send_signal(end)
    _, said = process.communicate(timeout=20)
    assert said == ("" if end == signal.SIGKILL else "error: ended by SIGTERM, with all 2 ranks\n")
    deadline = time.monotonic() + 20
    while not all(map(gone, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("count", [0, 1])
def test_with_less_than_two_the_process_is_the_script_itself(count, start, tmp_path):
    process = start(
        'import os, sys\nprint(sys.argv[1], os.environ.get("RANK"), os.getpid(), file=sys.stderr)',
        count,
    )
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, f"{tmp_path} None {process.pid}\n")


def test_files_of_the_launch_are_removed(start, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    process = start("")
    assert process.wait(timeout=60) == 0
    assert not list((tmp_path / "temporary").iterdir())
