"""A private SLURM of one node in a folder: real daemons on ports of their own, without root,
systemd or a database.

Debian's packages slurmctld, slurmd, slurm-client and munge (tests/install-slurm.sh). The node
declares more CPUs than there may be, and two cards that are ordinary character devices: SLURM
schedules and hands them out like any.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
PROGRAMS = (
    "munged",
    "slurmctld",
    "slurmd",
    "sbatch",
    "srun",
    "squeue",
    "scontrol",
    "scancel",
    "sinfo",
)
CARDS = ("/dev/null", "/dev/zero")

CONFIG = """
ClusterName=neft
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/munge.sock
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
MinJobAge=600
KillWait=2
SlurmdTimeout=15
JobRequeue=0
EnforcePartLimits=ALL
GresTypes=gpu
SlurmdParameters=config_overrides
SchedulerParameters=bf_interval=1,sched_min_interval=0,batch_sched_delay=0,defer_batch
NodeName={node} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{cards}
PartitionName=cpu Nodes={node} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={node} MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=SEARCH) is None]


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Poll until a condition holds and return its value; fails with its name if that takes too
    long.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s: {what}"
        time.sleep(0.2)
    return value


class Cluster:
    """A running cluster; `environment` makes sbatch, squeue and the rest talk to it."""

    def __init__(self, folder: Path, cpus: int = 4, memory: int = 16000) -> None:
        """Write the configuration and start the daemons."""
        self.folder = folder
        for name in ("munge", "state", "spool", "bin"):
            (folder / name).mkdir(parents=True)
        key = folder / "munge/munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.node = socket.gethostname().split(".")[0]
        ports = free_ports(2)
        text = CONFIG.format(
            node=self.node,
            controller_port=ports[0],
            node_port=ports[1],
            user=self.user,
            folder=folder,
            cpus=cpus,
            memory=memory,
            cards=len(CARDS),
        )
        (folder / "slurm.conf").write_text(text)
        (folder / "gres.conf").write_text("".join(f"Name=gpu File={card}\n" for card in CARDS))
        # Snakemake's plug-in drops every SLURM_ variable before its inner srun, this one too.
        srun = folder / "bin/srun"
        srun.write_text(
            f"#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which('srun', path=SEARCH)}"
            ' "$@"\n'
        )
        srun.chmod(0o755)
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SLURM_", "SBATCH_", "SRUN_"))
        }
        path = os.pathsep.join([str(folder / "bin"), SEARCH])
        self.environment = clean | {
            "PATH": path,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.start()

    def start(self) -> None:
        """Start what makes a cluster, and wait until its node takes jobs."""
        files = {
            name: f"{self.folder}/munge/munge.{name}"
            for name in ("key", "sock", "pid", "log", "seed")
        }
        options = {
            "key": "key-file",
            "sock": "socket",
            "pid": "pid-file",
            "log": "log-file",
            "seed": "seed-file",
        }
        # Forced, because it wants a socket that everybody may reach, and pytest's folders are
        # private.
        self.command(
            "munged", "--force", *(f"--{options[name]}={path}" for name, path in files.items())
        )
        self.command("slurmctld", "-c")
        self.start_node()

    def start_node(self) -> None:
        """Start slurmd and wait until the controller knows it."""
        wait_for(
            "the controller answers", lambda: "UP" in self.command("scontrol", "ping", check=False)
        )
        self.command("slurmd", "-N", self.node)
        wait_for("the node is up", lambda: self.state() in ("idle", "mixed", "allocated"))

    def kill_node(self) -> None:
        """Kill slurmd outright; the processes of its jobs live on. The controller is told what it
        would find out in a while.
        """
        os.kill(int((self.folder / "slurmd.pid").read_text()), signal.SIGKILL)
        self.command("scontrol", "update", f"NodeName={self.node}", "State=DOWN", "Reason=killed")

    def stop(self) -> None:
        """Cancel all jobs and end the daemons."""
        self.command("scancel", "--user", self.user, check=False)
        deadline = time.monotonic() + 15
        while (
            self.command("squeue", "--noheader", check=False).strip()
            and time.monotonic() < deadline
        ):
            time.sleep(0.2)
        for name in ("slurmd.pid", "slurmctld.pid", "munge/munge.pid"):
            try:
                os.kill(int((self.folder / name).read_text()), signal.SIGTERM)
            except (OSError, ValueError):
                continue  # it is gone already

    def command(self, *words: str, check: bool = True) -> str:
        """Run one of SLURM's programs; returns what it prints."""
        program = shutil.which(words[0], path=self.environment["PATH"])
        result = subprocess.run(
            [program, *words[1:]],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        assert not check or result.returncode == 0, f"{words}: {result.stdout}\n{self.logs()}"
        return result.stdout

    def state(self) -> str:
        """The node's state, such as "idle" or "down"."""
        return (
            self.command("sinfo", "--noheader", "--nodes", self.node, "--format=%T", check=False)
            .split("\n")[0]
            .strip()
        )

    def jobs(self) -> list[dict[str, str]]:
        """All jobs of this cluster in the order of their submission, those that have ended too."""
        blocks = self.command("scontrol", "show", "job", "--details").strip().split("\n\n")
        found = [
            dict(re.findall(r"(\w[\w/:]*)=(\S*)", block)) for block in blocks if "JobId=" in block
        ]
        return sorted(found, key=lambda job: int(job["JobId"]))

    def logs(self) -> str:
        """The end of the daemons' logs."""
        texts = [
            path.read_text(errors="replace") for path in sorted(self.folder.glob("slurm*d.log"))
        ]
        return "\n".join(text[-2000:] for text in texts)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
