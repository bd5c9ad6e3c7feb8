"""The benchmarks run, on a model so small that their figures mean nothing."""

from __future__ import annotations

import os
import platform
import random
import subprocess
import sys
from pathlib import Path

import pytest

from neft.storage.files import read_json

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import calibration
import generate
import measure
import similarity
import train_step
import utilization

import report


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("results")
    quick = ["--repeats", "2", "--threads", "1"]
    small = [
        "--models",
        "tiny",
        "--fractions",
        "0.05",
        "--batch",
        "2",
        "--tokens",
        "8",
        "--answer",
        "4",
    ]
    for precision, name in (("float32", "limit"), ("bfloat16", "neft")):
        out = ["--out", str(folder / "train_step.cpu.json")]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                train_step, "keep_freed_memory", lambda: None
            )  # not for the rest of the tests
            train_step.main(
                [*quick, *small, *out, "--precisions", precision, "--contestants", name]
            )
    generation = ["--model", str(tiny_model), "--rows", "3", "--limit", "4", "--batch", "2"]
    generate.main([*quick, *generation, "--out", str(folder / "generate.cpu.json")])
    similarity.main(
        [*quick, "--gib", "0.001", "--hidden", "64", "--out", str(folder / "similarity.cpu.json")]
    )
    small = ["--hidden", "32", "--states", "8", "--neurons", "16"]
    utilization.main([*quick, *small, "--out", str(folder / "utilization.cpu.json")])
    return folder


@pytest.mark.parametrize("name", ["lora", "shira", "in_out", "full", "masked"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_contestant_trains_what_it_says(name: str, precision: str, tmp_path: Path) -> None:
    args = train_step.arguments().parse_args(["--batch", "2", "--tokens", "8", "--answer", "4"])
    base = train_step.load("tiny", None)
    device = train_step.torch.device("cpu")
    player = train_step.Contestant(name, base, 0.05, precision, device, tokens=8)
    before = [parameter.detach().clone() for parameter in player.trainable]
    player.step(*train_step.data(args, base, device))
    assert any(not old.equal(new) for old, new in zip(before, player.trainable, strict=True))
    assert player.state_bytes() >= 16 * player.parameters
    assert player.disk_bytes(tmp_path) > 0


def test_masked_gradients_move_the_masked_neurons_alone() -> None:
    args = train_step.arguments().parse_args(["--batch", "2", "--tokens", "8", "--answer", "4"])
    base = train_step.load("tiny", None)
    before = {name: parameter.detach().clone() for name, parameter in base.named_parameters()}
    player = train_step.Contestant(
        "masked", base, 0.05, "float32", train_step.torch.device("cpu"), tokens=8
    )
    player.step(*train_step.data(args, base, player.device))
    for name, parameter in player.model.named_parameters():
        moved = (parameter != before[name]).sum()
        assert moved <= (player.masks[name].sum() if name in player.masks else 0)


def test_an_interval_holds_the_true_median_as_often_as_it_says() -> None:
    draw, rounds = random.Random(0), 11
    missed = 0
    for _ in range(2000):
        found = measure.ratio([draw.lognormvariate(0, 0.5) for _ in range(rounds)], [1.0] * rounds)
        assert found["low"] <= found["median"] <= found["high"]
        missed += not found["low"] <= 1 <= found["high"]
    assert missed / 2000 == pytest.approx(
        1 - 0.988, abs=0.006
    )  # 11 rounds: from the second to the tenth, 98.8 %


def test_of_few_rounds_the_interval_is_their_range() -> None:
    assert measure.ratio([2.0, 6.0, 3.0], [2.0, 2.0, 2.0]) == {
        "median": 1.5,
        "low": 1.0,
        "high": 3.0,
    }


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own option")
@pytest.mark.parametrize("kept", [True, False])
def test_memory_that_is_kept_is_not_cleared_again(kept: bool) -> None:
    program = f"""
import resource, torch, measure
if {kept}: measure.keep_freed_memory()
for _ in range(12):  # glibc needs some to find the hole that aligned memory leaves
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(100 << 18)  # 100 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    paths = [str(Path(__file__).parents[1] / folder) for folder in ("benchmarks", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)} | {
        "THP_MEM_ALLOC_ENABLE": "0"
    }
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        text=True,
        check=True,
        stdout=subprocess.PIPE,
    )
    assert (int(ran.stdout) < 10) == kept  # faults: 100 MiB are 25,600 pages, or 50 large ones


@pytest.mark.slow
def test_a_second_run_keeps_the_rows_of_the_first(results: Path) -> None:
    rows = read_json(results / "train_step.cpu.json")["rows"]
    assert [(row["precision"], row["contestant"]) for row in rows] == [
        ("float32", "limit"),
        ("bfloat16", "neft"),
    ]
    assert all(row["seconds"] > 0 and row["peak_bytes"] > 0 for row in rows)


def test_all_ways_to_generate_give_the_same_answers(results: Path) -> None:
    rows = read_json(results / "generate.cpu.json")["rows"]
    assert [row["same_as_one_by_one"] for row in rows] == [1, 1, 1]


def test_a_bar_within_the_interval_is_not_decided() -> None:
    assert report.at_least(0.6, {"median": 0.7, "low": 0.65, "high": 0.8}) == "met"
    assert report.at_least(0.6, {"median": 0.7, "low": 0.5, "high": 0.8}) == "met, not decided"
    assert report.at_least(0.6, {"median": 0.5, "low": 0.4, "high": 0.55}) == "**missed**"


def test_the_page_shows_every_result_and_says_where_a_bar_is_missed(
    results: Path, tmp_path: Path
) -> None:
    report.write(results, tmp_path)
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    for heading in (
        "## A training step",
        "## Comparing two checkpoints",
        "## Correlating neurons",
        "## Generating",
    ):
        assert heading in page
    assert "| delta ≤ 2.05 bytes/parameter | tiny | 2 x 8 | bfloat16 | 5% | " in page
    assert "**missed**" in page  # so small a delta is mostly header
    assert (tmp_path / "train_step.cpu.png").stat().st_size > 1000


def test_the_page_on_calibration_has_a_rate_for_every_test(tiny_rows: Path, tmp_path: Path):
    page = tmp_path / "calibration.md"
    quick = ["--simulations", "3", "--trials", "50"]
    calibration.main([*quick, "--rows", str(tiny_rows), "--page", str(page)])
    text = page.read_text()
    for metric in ("chrf", "bleu", "rouge", "loss", "accuracy"):
        assert f"| {metric} | " in text
    assert text.count("not valid") == 18  # rows that share something
    assert "nan" not in text
