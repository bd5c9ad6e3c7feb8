"""What a plan counts: shared work once, each table's own work alone."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from neft.config import loader
from neft.workflow import estimate
from neft.workflow.estimate import Estimate, Job

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
MODEL = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def planned() -> Estimate:
    """Two tables over the demo's one data set, both with full and neft; three learning rates for
    neft; two seeds.
    """
    found = copy.deepcopy(SHIPPED) | {"seeds": [1, 2]}
    found["methods"]["neft"]["learning_rate"] = [1e-3, 2e-3, 4e-3]
    first = found["experiments"][0]
    found["tables"] = {name: {"kind": "scores", "title": name} for name in ("one", "two")}
    found["experiments"] = [
        first | {"methods": ["base", "full", "neft"], "tables": ["one"]},
        first | {"methods": ["full", "neft", "lora"], "tables": ["two"]},
    ]
    return Estimate(loader.load(found), "A100", 0.5)


def test_what_tables_share_is_counted_once_in_the_whole(planned):
    sums = dict(estimate.sums(planned))
    assert list(sums) == ["one", "two", "everything"]
    # Two seeds each: full, three rates of neft; and lora.
    assert (sums["one"].tune, sums["two"].tune, sums["everything"].tune) == (8, 10, 10)
    assert (sums["one"].probe, sums["two"].probe, sums["everything"].probe) == (2, 2, 2)
    assert (sums["one"].generate, sums["everything"].generate) == (5, 7)


def test_a_training_costs_its_operations_at_the_cards_speed(planned):
    size, tokens = planned.size(MODEL), 512 * estimate.TOKENS["translation"]
    cost = planned.cost(Job("tune", MODEL, "ui-en-fr", "full", 1, "lr0.0004"))
    assert cost.tokens == tokens
    assert cost.operations == 6 * size.parameters * tokens
    assert cost.seconds == cost.operations / (312e12 * 0.5)
    assert cost.stored == 2 * size.parameters
    probe = planned.cost(Job("probe", MODEL, "ui-en-fr", "probe", 1, ""))
    assert probe.operations == 6 * size.parameters * 12 * 16 * estimate.TOKENS["translation"]
    assert (probe.probe, probe.tune, probe.stored) == (1, 0, 0)


def test_the_report_has_a_row_for_each_table_and_method(planned):
    text = estimate.report(planned, "A100")
    for name in ("one", "two", "everything", "full", "neft", "lora"):
        assert f"| {name} |" in text
    assert "| base |" not in text


def test_the_miniature_is_planned_from_the_files(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    estimate.main(["--configfile", "configs/miniature.yaml"])
    printed = capsys.readouterr().out
    for number in range(1, 8):
        assert f"| table{number} |" in printed


def test_a_plan_is_written_between_the_marks_of_a_file(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(ROOT)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- plan -->\nwhat was there\n<!-- /plan -->\nafter\n")
    for _ in range(2):
        estimate.main(["--configfile", "configs/miniature.yaml", "--into", str(page)])
    before, plan, after = page.read_text().partition("<!-- plan -->\n| table |")
    assert (before, "what was there" in plan + after) == ("before\n", False)
    assert page.read_text().endswith("\n<!-- /plan -->\nafter\n")
    assert capsys.readouterr().out == ""


def test_the_plan_in_the_guide_is_that_of_the_configuration(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    if not Path("configs/paper.yaml").exists():
        pytest.skip("there is no configs/paper.yaml")
    guide = Path("docs/reproduction.md").read_text()
    page = tmp_path / "page.md"
    page.write_text(guide)
    estimate.main(["--configfile", "configs/paper.yaml", "--into", str(page)])
    assert page.read_text() == guide, "make docs"
