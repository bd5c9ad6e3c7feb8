"""One job, several processes: run a script as so many ranks that train one model together
(torchrun, on this machine).

    PYTHONPATH=. python -m neft.workflow.processes 2 scripts/tune/tune_model.py …

With fewer than two it becomes the script. Else torchrun's agent starts the ranks, each with RANK
and WORLD_SIZE in its environment, and ends them all as soon as one has died; the log then says
which, and why. Ranks don't outlive the agent.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import runpy
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

KILL_AFTER = 10
"""Seconds that the other ranks have to end when one has died."""


def launch(count: int, command: list[str]) -> None:
    """Run a script and its arguments as `count` ranks and wait for them. Exits with a message if
    one fails.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable()  # of this process, the agent: the message below is all that there is to say
    os.environ.setdefault(
        "OMP_NUM_THREADS", "1"
    )  # scripts set their threads; unset, accelerate would overrule them
    with tempfile.TemporaryDirectory(prefix="neft-ranks-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=f"neft-{os.getpid()}",
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            shutdown_timeout=KILL_AFTER,
        )
        try:
            elastic_launch(config, sys.executable)(
                "-m", "neft.workflow.processes", "rank", *command
            )
        except ChildFailedError as error:
            sys.exit(_report(error.failures, count))
        except SignalException as error:
            sys.exit(f"error: ended by {error.sigval.name}, with all {count} ranks")


def _report(failures: dict[int, ProcessFailure], count: int) -> str:
    """What the rank that died first has to say; the others mostly say that they miss it."""

    def order(item: tuple[int, ProcessFailure]) -> tuple[bool, float]:
        # The agent ends those that are left with SIGTERM. Whoever was killed could not write down
        # when, but it came first.
        return item[1].exitcode == -signal.SIGTERM, item[1].error_file_data.get("time", 0.0)

    rank, first = min(failures.items(), key=order)
    said = first.error_file_data
    if said.get("expected"):  # a NeftError, which every rank may have raised
        return str(said["message"])
    if said.get("time"):
        print(f"rank {rank} of {count}:\n{said['message']}", file=sys.stderr, end="")
        reason = "failed"
    elif first.exitcode < 0:
        memory = (
            "; mostly that is the system, when memory runs out"
            if first.exitcode == -signal.SIGKILL
            else ""
        )
        reason = f"was killed by {first.signal_name()}{memory}"
    else:
        reason = f"ended with status {first.exitcode}"
    return f"error: rank {rank} of {count} {reason}; the others were ended"


def be_rank(script: str, arguments: list[str]) -> None:
    """Run a script in this process, and leave what ends it where the agent finds it."""
    _die_with_parent()
    sys.argv = [script, *arguments]
    sys.path[0] = str(
        Path(script).resolve().parent
    )  # as if Python had been started with the script
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as error:
        if isinstance(error.code, str):
            _record(error.code, expected=True)
            sys.exit(1)
        raise
    except Exception:
        _record(traceback.format_exc(), expected=False)
        sys.exit(1)
    if "torch.distributed" in sys.modules:
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()


def _record(message: str, expected: bool) -> None:
    said = {
        "message": message,
        "expected": expected,
        "time": time.time(),
        "timestamp": int(time.time()),
    }
    Path(os.environ["TORCHELASTIC_ERROR_FILE"]).write_text(json.dumps(said), encoding="utf-8")


def _die_with_parent() -> None:
    if sys.platform == "linux":
        parent, set_death_signal = os.getppid(), 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(1)  # it has died meanwhile


def main(arguments: list[str]) -> None:
    """`COUNT SCRIPT …`: run the script as so many ranks; `rank SCRIPT …`: be one of them."""
    what, *command = arguments
    if what == "rank":
        be_rank(command[0], command[1:])
    elif int(what) > 1:
        launch(int(what), command)
    else:
        os.execv(sys.executable, [sys.executable, *command])


if __name__ == "__main__":
    main(sys.argv[1:])
