"""
Shared by all rules: the checked configuration, its runs, and what this machine gives to a job.
NEEDS  the configuration (config.yaml or --configfile)
MAKES  nothing
"""

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir)))
# Rules call `python`: the one that runs Snakemake, also when its environment is not activated.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)

from neft.config import loader, overlay
from neft.errors import NeftError
from neft.results.runs import UNTUNED
from neft.workflow import gpus
from neft.workflow.params import code, spec
from neft.workflow.plan.runs import RunPlan
from neft.workflow.resources import Needs, grown

try:
    if workflow.modifier.skip_configfile:  # `module neft: config: …` hands over a dictionary
        CONFIG = loader.load(config)
    else:
        # Snakemake lists the files of --configfile first and that of `configfile:` last.
        GIVEN = workflow.config_settings
        OWN = (
            [] if GIVEN.replace_workflow_config else workflow.configfiles[len(GIVEN.configfiles) :]
        )
        LAYERS = overlay.read([*OWN, *GIVEN.configfiles], GIVEN.config)
        CONFIG = loader.load(LAYERS.values, LAYERS)
except NeftError as mistakes:
    raise WorkflowError(str(mistakes)) from None

RUNS = RunPlan(CONFIG)

LIMITS = {name: limit.value for name, limit in workflow.global_resources.items()}
# Jobs that can use a GPU ask for one where there is one: in this machine, or by the cluster's
# profile. A running job holds a lock on its card (neft.workflow.gpus); that no more jobs start than
# there are cards is Snakemake's part.
CARDS = LIMITS.get("gpu", len(gpus.visible()))
GPU = min(1, CARDS)
workflow.register_resource("gpu", CARDS)

# Without cards a job that computes gets all cores, so that one runs at a time: memory is that of
# one (4.7 GB for full fine-tuning of the 135M model), and the times in the tables are undisturbed.
# With cards each gets its share of the cores. A cluster's profile says it for each rule
# (`set-threads`), and so may a user (docs/cluster.md).
THREADS = max(1, (LIMITS["_cores"] or 1) // max(1, CARDS))


def ranks(rule):
    """How many processes, each on a card of its own, train one model in a job of this rule: as many cards as it asks for."""
    asked = workflow.resource_settings.overwrite_resources.get(rule, {}).get("gpu")
    if asked is not None and asked.is_evaluable():
        raise WorkflowError(
            f"set-resources: {rule}: gpu: {asked.raw} must be a plain number, since the cards share a batch"
        )
    # A rule of which only other resources are set has a `gpu` without a value.
    return max(1, GPU if asked is None or asked.value is None else asked.value)


RANKS = {rule: ranks(rule) for rule in ("train_probe", "tune_model")}
try:
    NEEDS = Needs(CONFIG, GPU, RANKS)
except NeftError as mistake:
    raise WorkflowError(str(mistake)) from None


def one_of(names):
    """A wildcard constraint: exactly these names."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


wildcard_constraints:
    name=one_of([CONFIG.name]),
    model=one_of(CONFIG.models),
    dataset=one_of([*CONFIG.datasets, UNTUNED]),
    test=one_of(CONFIG.datasets),
    sample=one_of(CONFIG.datasets),
    method=one_of(CONFIG.methods),
    mask=one_of(CONFIG.masks),
    metric=one_of(CONFIG.metrics),
    split="train|dev|test",
    seed="[0-9]+",


def options(input, *keys):
    """Command line options for the inputs of these names that there are."""
    return [
        word
        for key in keys
        if key in input.keys()
        for word in (
            f"--{key.replace('_', '-')}",
            *([input[key]] if isinstance(input[key], str) else input[key]),
        )
    ]
