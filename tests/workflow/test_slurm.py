"""The cluster profile on a real SLURM: the same bytes as at home, cards handed out, and whatever
dies is done again.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import COMPUTING, ROOT, Workflow
from slurm import Cluster, missing, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.timeout(600)]

# The test site, laid over the profile as a user would lay it: no accounting database, no network
# disk, no time to lose.
SITE = [
    "--workflow-profile",
    "profiles/slurm",
    "--slurm-status-command",
    "squeue",
    "--latency-wait",
    "5",
]
SITE += ["--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    lacking = missing() + ["snakemake-executor-plugin-slurm"] * (
        importlib.util.find_spec("snakemake_executor_plugin_slurm") is None
    )
    if lacking:
        message = (
            f"NO SLURM ({', '.join(lacking)}): the cluster profile is NOT tested; see"
            " tests/install-slurm.sh"
        )
        must = os.environ.get("CI") and os.geteuid() == 0  # root could have installed it
        pytest.fail(message) if must else pytest.skip(message)
    running = Cluster(tmp_path_factory.mktemp("slurm"))
    yield running
    running.stop()


class Site:
    """A folder with a few rules of its own and the shipped profile."""

    def __init__(self, folder: Path, cluster: Cluster, rules: str) -> None:
        """`rules`: the Snakefile, but for its head."""
        self.folder = folder
        self.cluster = cluster
        (folder / "profiles").mkdir()
        (folder / "profiles/slurm").symlink_to(ROOT / "profiles/slurm")
        head = (
            f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom neft.workflow.resources import"
            " grown\n"
        )
        head += "localrules: all\n"
        (folder / "Snakefile").write_text(head + rules)
        self.environment = cluster.environment | {"PYTHONPATH": str(ROOT)}
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start Snakemake; its output goes to `log`."""
        command = [sys.executable, "-m", "snakemake", *SITE, *arguments]
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, text=True
            )
        self.processes.append(process)
        return process

    def run(self, *arguments: str) -> int:
        """Run Snakemake to its end."""
        return self.start(*arguments).wait(timeout=200)

    @property
    def log(self) -> str:
        """What all runs of Snakemake here have said."""
        return (self.folder / "log").read_text()

    def jobs(self) -> list[dict[str, str]]:
        """The jobs that were submitted from here."""
        return [job for job in self.cluster.jobs() if job["WorkDir"] == str(self.folder)]

    def stop(self) -> None:
        """End what still runs."""
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def site(tmp_path: Path, cluster: Cluster) -> Iterator[Callable[[str], Site]]:
    made: list[Site] = []

    def make(rules: str) -> Site:
        made.append(Site(tmp_path, cluster, rules))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture(scope="module")
def twice(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two jobs whose first attempts end badly: one is cancelled, the other stays over its limit.

    SLURM's limits are whole minutes, so this goes on while other tests run.
    """
    here = Site(
        tmp_path_factory.mktemp("twice"),
        cluster,
        """
rule all:
    input: "out/late", "out/cancelled"
rule one:
    output: "out/{n}"
    resources: runtime=grown(1)
    shell: "if mkdir {wildcards.n}.tried; then sleep 400; fi; echo whole > {output}"
""",
    )
    here.start()
    wait_for(
        "both jobs run",
        lambda: all((here.folder / f"{name}.tried").exists() for name in ("late", "cancelled")),
    )
    cancelled = next(job for job in here.jobs() if "cancelled" in job["Comment"])
    cluster.command("scancel", cancelled["JobId"])
    yield here
    here.stop()


def test_the_tiny_workflow_through_the_profile_ends_with_the_bytes_of_a_local_run(
    finished, cluster, twice, tmp_path
):
    workflow = Workflow(tmp_path / "neft", finished.config)
    cores = len(
        os.sched_getaffinity(0)
    )  # what the local run took: bytes are the same for the same number of threads
    run = "tiny-llama/pairs/neft/seed1"
    results = [
        f"score/{run}/pairs/chrf.json",
        f"score/{run}/pairs/bleu.json",
    ]
    workflow.snakemake(
        *SITE,
        "--set-threads",
        *(f"{rule}={cores}" for rule in COMPUTING),
        "--resources",
        "gpu=2",
        "--",
        *(f"results/tiny/{name}" for name in results),
        environment=cluster.environment,
    )
    for name in [
        *results,
        "mask/tiny-llama/pairs/seed1/low.safetensors",
        f"tune/{run}/chosen/delta.safetensors",
        f"generate/{run}/pairs.jsonl",
    ]:
        ours, theirs = (
            folder / "results/tiny" / name for folder in (workflow.folder, finished.folder)
        )
        assert ours.read_bytes() == theirs.read_bytes(), name
    submitted = [job for job in cluster.jobs() if job["WorkDir"] == str(workflow.folder)]
    jobs = {job["Comment"].split("_wildcards")[0]: job for job in submitted}
    assert {job["JobState"] for job in jobs.values()} == {"COMPLETED"}
    for rule in ("train_probe", "tune_model", "generate_outputs"):
        assert (jobs[f"rule_{rule}"]["Partition"], jobs[f"rule_{rule}"]["TresPerJob"]) == (
            "gpu",
            "gres:gpu:1",
        ), rule
        assert jobs[f"rule_{rule}"]["CPUs/Task"] == str(cores), rule
    assert "TresPerJob" not in jobs["rule_compare_neurons"]


def test_of_three_jobs_with_a_card_each_two_run_at_once_and_the_third_waits(site):
    here = site('''
rule all:
    input: "out/a", "out/b", "out/c"
rule tune_model:
    output: "out/{n}"
    resources: gpu=1, mem_mb=100
    shell: """
        date +%s.%N > started.{wildcards.n}
        python -m neft.workflow.gpus {resources.gpu} sh -c 'sleep 4; echo $CUDA_VISIBLE_DEVICES' > {output}
        date +%s.%N >> {output}
        """
''')
    process = here.start("--set-threads", "tune_model=1")
    wait_for(
        "a job waits for a card",
        lambda: [job for job in here.jobs() if job["Reason"] == "Resources"],
    )
    assert process.wait(timeout=120) == 0, here.log
    starts = {name: float((here.folder / f"started.{name}").read_text()) for name in "abc"}
    texts = {name: (here.folder / f"out/{name}").read_text().split() for name in "abc"}
    first, second, third = sorted(starts, key=starts.__getitem__)
    assert {texts[first][0], texts[second][0]} == {"0", "1"}
    assert starts[second] < float(texts[first][1])
    assert starts[third] > min(float(texts[first][1]), float(texts[second][1]))
    assert {job["Partition"] for job in here.jobs()} == {"gpu"}


def test_a_job_with_two_cards_is_one_task_with_a_process_on_each(site):
    here = site('''
rule all:
    input: "out/cards"
rule tune_model:
    output: "out/cards"
    resources: gpu=1, mem_mb=500
    shell: """
        python -m neft.workflow.gpus {resources.gpu} python -m neft.workflow.processes {resources.gpu} show.py {output}
        cat {output}.* > {output}
        """
''')
    (here.folder / "show.py").write_text(
        "import os, pathlib, sys\nnames = ('RANK', 'WORLD_SIZE',"
        " 'CUDA_VISIBLE_DEVICES')\npathlib.Path(sys.argv[1] + '.' +"
        " os.environ['RANK']).write_text(' '.join(map(os.environ.get, names)) + chr(10))\n"
    )
    process = here.start(
        "--set-threads",
        "tune_model=1",
        "--set-resources",
        "tune_model:gpu=2",
        "tune_model:slurm_partition=gpu",
    )
    assert process.wait(timeout=120) == 0, here.log
    assert (here.folder / "out/cards").read_text() == "0 2 0,1\n1 2 0,1\n"
    (job,) = here.jobs()
    assert (job["TresPerJob"], job["NumTasks"], job["NumNodes"]) == ("gres:gpu:2", "1", "1")


def test_snakemake_killed_and_started_again_cancels_orphans_by_the_name_of_the_run(site, cluster):
    here = site("""
rule all:
    input: "out/quick", "out/long"
rule one:
    output: "out/{n}"
    shell: "echo {wildcards.n} >> started; if test {wildcards.n} = long; then sleep 40; fi; echo whole > {output}"
""")
    process = here.start()
    wait_for("Snakemake knows that one job is done", lambda: "1 of 3 steps" in here.log)
    wait_for("the other runs", lambda: "long" in (here.folder / "started").read_text())
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert here.run() != 0
    assert "lock" in here.log
    # What docs/cluster.md says: the orphans first, then the lock.
    name = next(line.split()[-1] for line in here.log.splitlines() if "SLURM run ID" in line)
    orphans = [job for job in here.jobs() if job["JobState"] == "RUNNING"]
    assert {job["JobName"] for job in orphans} == {name}
    cluster.command("scancel", "--name", name)
    wait_for(
        "the orphan is gone",
        lambda: all(job["JobState"] not in ("RUNNING", "COMPLETING") for job in here.jobs()),
    )
    assert here.run("--unlock") == 0
    assert here.run() == 0, here.log
    assert sorted((here.folder / "started").read_text().split()) == ["long", "long", "quick"]
    assert (here.folder / "out/long").read_text() == "whole\n"


def test_a_job_over_its_time_and_a_cancelled_job_are_submitted_again_with_double(twice):
    here = twice
    assert here.processes[0].wait(timeout=200) == 0, here.log
    for name, end in (("late", "TIMEOUT"), ("cancelled", "CANCELLED")):
        first, second = (job for job in here.jobs() if name in job["Comment"])
        assert (first["JobState"], second["JobState"]) == (end, "COMPLETED")
        assert (first["TimeLimit"], second["TimeLimit"]) == ("00:01:00", "00:02:00")
        assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("2000M", "4000M")
        assert (here.folder / f"out/{name}").read_text() == "whole\n"


def test_a_job_on_a_node_that_died_is_done_again_when_it_is_back(site, cluster):
    here = site("""
rule all:
    input: "out/one"
rule one:
    output: "out/one"
    shell: "echo started >> started; if mkdir tried; then sleep 400; fi; echo whole > {output}"
""")
    process = here.start()
    wait_for("the job runs", lambda: (here.folder / "tried").exists())
    cluster.kill_node()
    cluster.start_node()
    assert process.wait(timeout=120) == 0, here.log
    assert [job["JobState"] for job in here.jobs()] == ["NODE_FAIL", "COMPLETED"]
    assert (here.folder / "out/one").read_text() == "whole\n"
