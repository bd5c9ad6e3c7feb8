"""The repository keeps its own promises: scripts for rules, pins in step, README commands that
work.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
RULE = re.compile(r"^(?:rule|checkpoint) (\w+):(.*?)(?=^\S|\Z)", re.M | re.S)
RULES = {
    name: body
    for file in (ROOT / "rules").glob("*.smk")
    for name, body in RULE.findall(file.read_text())
}
SCRIPTS = {path.stem: path for path in sorted((ROOT / "scripts").glob("*/*.py"))}
STAGES = {
    name: path.stem
    for path in (ROOT / "rules").glob("*.smk")
    for name, _ in RULE.findall(path.read_text())
}


def test_every_script_belongs_to_one_rule_of_the_same_name():
    assert {name: path.parent.name for name, path in SCRIPTS.items()} == STAGES


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rule_passes_only_options_that_its_script_takes(rule, capsys, monkeypatch):
    shell = RULES[rule][RULES[rule].index("shell:") :]
    assert re.search(
        r"(python|python -m neft.workflow.processes {resources.gpu})"
        rf" scripts/{STAGES[rule]}/{rule}.py",
        shell,
    )
    monkeypatch.setenv("COLUMNS", "200")
    script = importlib.util.spec_from_file_location(rule, SCRIPTS[rule])
    module = importlib.util.module_from_spec(script)
    script.loader.exec_module(module)
    with pytest.raises(SystemExit):
        module.main(["--help"])
    taken = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert set(re.findall(r"(--[a-z-]+) ", shell)) <= taken


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rule_quotes_what_it_puts_into_the_shell(rule):
    body = RULES[rule]
    for field in re.findall(r"\{([^{}]+)\}", body[body.index("shell:") :]):
        # Numbers and the experiment's name, which has no character that a shell knows, need no
        # quotes.
        assert field.endswith(":q") or field in (
            "threads",
            "resources.batch_size",
            "resources.gpu",
            "wildcards.seed",
            "wildcards.name",
        ), field


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rule_has_docstring_log_benchmark_resources_and_environment(rule):
    body = RULES[rule]
    assert body.lstrip().startswith('"""')
    for directive in ("log", "benchmark", "resources", "conda", "params", "output"):
        assert re.search(rf"^    {directive}:", body, re.M), directive


@pytest.mark.parametrize("name", ["main", "comet"])
def test_pins_for_pip_and_conda_are_the_same(name):
    pins = (ROOT / f"envs/{name}.txt").read_text().split()
    conda = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())
    assert conda["dependencies"][-1]["pip"] == pins
    assert "torch==2.13.0" in pins
    assert all("==" in pin for pin in pins)


def test_comets_pins_hold_what_it_asks_for():
    asked = [
        line
        for line in (ROOT / "envs/comet.in").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert set(asked) <= set((ROOT / "envs/comet.txt").read_text().split())


def test_the_cluster_profile_knows_every_rule_that_computes():
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    # Where a rule is missing a node would give it all of its cores, and a partition without GPUs.
    assert {rule for rule, body in RULES.items() if "threads: THREADS" in body} == set(
        profile["set-threads"]
    )
    with_gpu = {rule for rule, body in RULES.items() if "gpu=GPU" in body}
    assert with_gpu == {
        rule for rule, values in profile["set-resources"].items() if "slurm_partition" in values
    }
    assert all(
        "python -m neft.workflow.gpus {resources.gpu} python " in RULES[rule] for rule in with_gpu
    )


def test_importing_neft_imports_nothing_heavy():
    code = (
        "import sys, neft; print([m for m in ('torch', 'numpy', 'transformers', 'pydantic') if m in"
        " sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_reading_the_configuration_imports_nothing_heavy():
    code = (
        "import sys, neft.config.loader; print([m for m in ('torch', 'numpy', 'transformers',"
        " 'pandas') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_no_script_reads_the_configuration_itself():
    """It would put every key into every fingerprint."""
    for path in [*SCRIPTS.values(), *(ROOT / "neft").rglob("*.py")]:
        if path.parts[len(ROOT.parts) + 1] not in ("config", "workflow"):
            assert "neft.config" not in path.read_text(), path


def test_nothing_loads_or_writes_pickles():
    for path in [*SCRIPTS.values(), *(ROOT / "neft").rglob("*.py")]:
        text = path.read_text()
        for word in ("import pickle", "torch.load(", "torch.save(", "joblib"):
            assert word not in text, f"{path}: {word}"


def readme_commands() -> list[str]:
    blocks = re.findall(r"```(?:bash|sh)\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    return [
        line.strip()
        for block in blocks
        for line in block.splitlines()
        if line.strip() and not line.startswith("#")
    ]


def test_every_make_target_of_the_readme_exists():
    targets = {
        word for command in readme_commands() for word in re.findall(r"^make ([a-z-]+)", command)
    }
    assert {"demo", "test"} <= targets
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.slow
def test_every_snakemake_command_of_the_readme_makes_a_plan():
    commands = [command for command in readme_commands() if command.startswith("snakemake")]
    assert commands
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    }
    for command in commands:
        # Own data and model: the files of the example don't exist here, which is what Snakemake
        # must say.
        result = subprocess.run(
            f"{command} --dry-run",
            shell=True,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        if "own-data" in command:
            assert "no such file or folder: my-data/pairs.tsv" in result.stderr + result.stdout
        else:
            assert result.returncode == 0, result.stderr


def test_every_file_that_the_readme_names_exists():
    for name in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / name).exists(), name
