"""The longest specs there are."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import yaml
from snakemake.utils import update_config

from neft.config import loader
from neft.workflow.plan.paper import PaperPlan
from neft.workflow.plan.report import ReportPlan
from neft.workflow.plan.runs import RunPlan
from neft.workflow.plan.score import ScorePlan
from shipped import ROOT, SHIPPED


def test_the_longest_spec_of_the_full_scale_fits_on_a_command_line(monkeypatch):
    monkeypatch.chdir(ROOT)
    values = copy.deepcopy(SHIPPED)
    update_config(values, yaml.safe_load(Path("configs/paper.yaml").read_text()))
    runs = RunPlan(loader.load(values))
    report, paper, anything = ReportPlan(runs), PaperPlan(ScorePlan(runs)), SimpleNamespace()
    texts = [
        report.make_table(anything),
        report.show_samples(anything),
        paper.summarize_claims(anything),
    ]
    texts += [paper.make_paper_table(SimpleNamespace(table=name)) for name in runs.config.tables]
    # Linux: 128 KiB for one argument, here the whole command.
    assert max(len(text.encode()) for text in texts) < 100_000
