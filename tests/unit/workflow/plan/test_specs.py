"""The longest specs there are, and that every stage's are JSON."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake.utils import update_config

from neft.config import loader
from neft.workflow.plan.data import DataPlan
from neft.workflow.plan.generate import GeneratePlan
from neft.workflow.plan.model import ModelPlan
from neft.workflow.plan.paper import PaperPlan
from neft.workflow.plan.report import ReportPlan
from neft.workflow.plan.runs import RunPlan
from neft.workflow.plan.score import ScorePlan
from neft.workflow.plan.select import SelectPlan
from neft.workflow.plan.tune import TunePlan
from shipped import ROOT, SHIPPED, load


def test_the_longest_spec_of_the_full_scale_fits_on_a_command_line(monkeypatch):
    monkeypatch.chdir(ROOT)
    values = copy.deepcopy(SHIPPED)
    update_config(values, yaml.safe_load(Path("configs/paper.yaml").read_text()))
    runs = RunPlan(loader.load(values))
    report, paper, anything = ReportPlan(runs), PaperPlan(runs), SimpleNamespace()
    texts = [
        report.make_table(anything),
        report.show_samples(anything),
        paper.summarize_claims(anything),
    ]
    texts += [paper.make_paper_table(SimpleNamespace(table=name)) for name in runs.config.tables]
    # Linux: 128 KiB for one argument, here the whole command.
    assert max(len(text.encode()) for text in texts) < 100_000


def specs():
    config = load()
    runs = RunPlan(config)
    return [
        ModelPlan(config).prepare_model,
        DataPlan(config).read_source,
        SelectPlan(config).train_probe,
        SelectPlan(config).compare_neurons,
        TunePlan(config).choose_trial,
        GeneratePlan(config).generate_outputs,
        ScorePlan(runs).score_outputs,
        ScorePlan(runs).compare_outputs,
        ReportPlan(runs).show_config,
    ]


@pytest.mark.parametrize("spec", specs(), ids=lambda spec: spec.__name__)
def test_a_spec_is_a_json_object(spec):
    w = SimpleNamespace(
        model="smollm2-135m-instruct",
        dataset="ui-en-fr",
        method="neft",
        trial="lr0.0005",
        seed="1",
        test="ui-en-fr",
        metric="bleu",
        step="",
    )
    assert isinstance(json.loads(spec(w)), dict)
