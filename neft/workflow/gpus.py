"""One GPU, one job: run a command with as many cards as it asks for, and no other job's.

    PYTHONPATH=. python -m neft.workflow.gpus 1 python scripts/tune/tune_model.py …

Takes free cards, waiting for them if need be, sets CUDA_VISIBLE_DEVICES and becomes the command, so
that torch never sees another card. What is taken is a lock on a file (one a card, in the machine's
folder for temporary files) that lasts as long as the process: the kernel gives it back whatever a
job dies of. Cards that CUDA_VISIBLE_DEVICES names already are all there is; what SLURM has assigned
to a job is used as it is. Several workflows on one machine share its cards.
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
import time
from pathlib import Path

from neft.errors import NeftError

WAIT = 0.5
"""Seconds between two looks for a free card."""


def visible() -> list[str]:
    """The cards that there are for this process, as CUDA_VISIBLE_DEVICES names them."""
    declared = os.environ.get("CUDA_VISIBLE_DEVICES")
    if declared is not None:
        return [
            card.strip()
            for card in declared.split(",")
            if card.strip() not in ("", "-1", "NoDevFiles")
        ]
    return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def acquire(count: int) -> list[str]:
    """Acquire `count` cards, waiting until so many are free. They are this process's until it ends,
    and survive an exec.

    Raises NeftError if there are fewer.
    """
    cards = visible()
    if len(cards) < count:
        there = f"there are {', '.join(cards)}" if cards else "there is none"
        raise NeftError(
            f"cards: {count} wanted, {there} (CUDA_VISIBLE_DEVICES or /dev/nvidia*); see `gpu` in"
            " the profile"
        )
    if len(cards) == count and "SLURM_JOB_ID" in os.environ:
        return cards
    told = False
    while True:
        locks = {card: lock for card in cards if (lock := _lock(card)) is not None}
        free = list(locks)[:count]
        for card in set(locks) - set(free) if len(free) == count else locks:
            os.close(
                locks[card]
            )  # all or none: two jobs that hold one card each and want two would wait for ever
        if len(free) == count:
            return free
        if not told:
            print(
                f"waiting for {count} of the cards {', '.join(cards)}: other jobs have them",
                file=sys.stderr,
                flush=True,
            )
            told = True
        time.sleep(WAIT * (1 + os.getpid() % 7 / 10))


def _lock(card: str) -> int | None:
    """The open lock file of a card, or None if another process has it."""
    # Cards of a SLURM allocation are numbered from 0 in each.
    path = Path(
        tempfile.gettempdir(),
        f"neft-card-{os.environ.get('SLURM_JOB_ID', 'host')}-{card.replace('/', '_')}.lock",
    )
    try:
        file = os.open(
            path, os.O_RDONLY
        )  # another user's file can't be opened with O_CREAT in /tmp
    except FileNotFoundError:
        file = os.open(path, os.O_RDONLY | os.O_CREAT)
        os.fchmod(file, 0o444)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    os.set_inheritable(file, True)
    return file


def main(arguments: list[str]) -> None:
    """`COUNT COMMAND…`: become the command, with COUNT cards (0: with what is visible, as it
    is).
    """
    count, *command = arguments
    if int(count):
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(acquire(int(count)))
    os.execvp(command[0], command)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NeftError as error:
        sys.exit(f"error: {error}")
