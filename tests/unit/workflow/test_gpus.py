"""A card belongs to one process at a time: real processes, declared cards, no GPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from neft.workflow import gpus

SCRIPTS = Path(gpus.__file__).parents[2]
HOLD = "echo $CUDA_VISIBLE_DEVICES > $1.part && mv $1.part $1 && exec sleep 60"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a job that writes its cards into a file of this name and keeps them."""
    processes = []

    def job(name: str, count: int = 1, **environment: str) -> subprocess.Popen:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
        clean |= {
            "PYTHONPATH": str(SCRIPTS),
            "TMPDIR": str(tmp_path),
            "CUDA_VISIBLE_DEVICES": "0,1",
        }
        command = [
            sys.executable,
            "-m",
            "neft.workflow.gpus",
            str(count),
            "sh",
            "-c",
            HOLD,
            "sh",
            str(tmp_path / name),
        ]
        processes.append(
            subprocess.Popen(command, env=clean | environment, stderr=subprocess.PIPE, text=True)
        )
        return processes[-1]

    yield job
    for process in processes:
        process.kill()
        process.communicate()


def cards_of(path: Path) -> str:
    """What a job wrote, once it has."""
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.05)
    return path.read_text().strip()


def test_two_jobs_have_a_card_each_and_a_third_takes_that_of_the_one_that_is_killed(
    start, tmp_path
):
    first, _ = start("a"), start("b")
    taken = {name: cards_of(tmp_path / name) for name in "ab"}
    assert sorted(taken.values()) == ["0", "1"]
    third = start("c")
    assert third.stderr.readline() == "waiting for 1 of the cards 0, 1: other jobs have them\n"
    assert not (tmp_path / "c").exists()
    first.send_signal(signal.SIGKILL)
    assert cards_of(tmp_path / "c") == taken["a"]


def test_a_job_with_two_cards_waits_for_both_and_holds_none_meanwhile(start, tmp_path):
    first = start("a")
    cards_of(tmp_path / "a")
    both = start("both", 2)
    both.stderr.readline()
    second = start("b")
    cards_of(tmp_path / "b")
    assert not (tmp_path / "both").exists()
    for process in (first, second):
        process.kill()
    assert cards_of(tmp_path / "both") == "0,1"


def test_only_the_cards_that_are_visible_already_are_handed_out(start, tmp_path):
    start("a", CUDA_VISIBLE_DEVICES="3, 5")
    start("b", CUDA_VISIBLE_DEVICES="3, 5")
    assert sorted(cards_of(tmp_path / name) for name in "ab") == ["3", "5"]


def test_what_slurm_has_assigned_is_used_as_it_is(start, tmp_path):
    # On a node that hides other jobs' cards everybody's first card is 0.
    for number, name in enumerate("ab"):
        start(name, CUDA_VISIBLE_DEVICES="0", SLURM_JOB_ID=str(number))
    assert [cards_of(tmp_path / name) for name in "ab"] == ["0", "0"]


def test_jobs_inside_one_allocation_share_its_cards(start, tmp_path):
    for name in "ab":
        start(name, SLURM_JOB_ID="7")
    assert sorted(cards_of(tmp_path / name) for name in "ab") == ["0", "1"]


def test_a_job_without_a_card_sees_what_there_is(start, tmp_path):
    for name in "abc":
        start(name, 0)
    assert {cards_of(tmp_path / name) for name in "abc"} == {"0,1"}


@pytest.mark.parametrize(("there", "said"), [("", "there is none"), ("4", "there are 4")])
def test_more_cards_than_there_are_is_an_error(start, there, said):
    process = start("a", 2, CUDA_VISIBLE_DEVICES=there)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors.startswith(f"error: cards: 2 wanted, {said}")


def test_the_job_is_the_process_itself(start, tmp_path):
    process = start("a")
    cards_of(tmp_path / "a")
    assert Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n"
