"""
Shared by all rules: the checked configuration, the plan made from it, and input functions.
NEEDS  the configuration (config.yaml or --configfile)
MAKES  nothing
"""

import os
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))
# Rules call `python`: the one that runs Snakemake, also when its environment is not activated.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))

from neft import config as configuration, plugins
from neft.analysis_plan import AnalysisPlan
from neft.errors import NeftError
from neft.plan import Plan, code, plain, spec
from neft.runs import UNTUNED, paths

try:
    CONFIG = configuration.load(config, where=Path(workflow.configfiles[-1]).name)
except NeftError as mistakes:
    raise WorkflowError(str(mistakes)) from None

PLAN = Plan(CONFIG)
R = f"results/{CONFIG.name}"
ANALYSES = AnalysisPlan(PLAN, R)

# A job that computes gets all cores, so that one runs at a time: full fine-tuning of the 135M model holds 4.7 GB, and a second thread
# is well used (a step took 2.15 s with two, 3.93 s with one).
THREADS = workflow.cores or 1

# Jobs that can use a GPU ask for one where there is one.
GPU = int(shutil.which("nvidia-smi") is not None)


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
    ranks=one_of(CONFIG.analyses.ranks),
    overlap=one_of(CONFIG.analyses.overlaps),
    split="train|dev|test",
    seed="[0-9]+",
    trial="lr[0-9][0-9.e-]*",


def source_inputs(group, key):
    """The files of a source. What was downloaded is ancient(): its record, which holds the hash, is what is compared."""
    source = getattr(CONFIG, group)[key].source
    if source.kind == "files":
        local = plugins.load("sources", source.kind).local_paths(plain(source))
        # A model's directory as such tells nothing; what lies in it does.
        inside = [str(file) for path in local if Path(path).is_dir() for file in sorted(Path(path).iterdir()) if file.is_file()]
        return {"paths": [ancient(path) if Path(path).is_dir() else path for path in local], "content": inside}
    stem = f"{R}/fetch/{source.package}-{source.version}" if source.kind == "wheel" else f"{R}/fetch/{group}/{key}"
    return {"paths": ancient(f"{stem}.whl" if source.kind == "wheel" else stem), "fetched": f"{stem}.json"}


def model_inputs(w):
    """The base model. Large, so ancient() as well; its record is compared."""
    return {"model": ancient(f"{R}/model/{w.model}"), "model_record": f"{R}/model/{w.model}.json"}


def mask_inputs(w):
    """What a mask's selector reads: distances, other masks, or nothing."""
    mask, stem = CONFIG.masks[w.mask], f"{w.model}/{w.dataset}/seed{w.seed}"
    files = {
        "distances": f"{R}/similarity/{stem}.safetensors",
        "masks": [f"{R}/mask/{stem}/{part}.safetensors" for part in getattr(mask, "of", ())],
    }
    return {key: files[key] for key in sorted(plugins.load("selectors", mask.kind).READS)}


def tune_inputs(w):
    """The base model, and the mask where the method trains one."""
    mask = getattr(CONFIG.methods[w.method], "mask", None)
    return model_inputs(w) | ({"mask": f"{R}/mask/{w.model}/{w.dataset}/seed{w.seed}/{mask}.safetensors"} if mask else {})


def trial_files(w, file):
    """One file of each trial of a method."""
    stem = f"{R}/tune/{w.model}/{w.dataset}/{w.method}/seed{w.seed}"
    return [f"{stem}/{trial}/{file}" for trial in PLAN.trials(w.method)]


def generate_inputs(w):
    """The base model, and what the chosen trial changed in it."""
    stem = f"{R}/tune/{w.model}/{w.dataset}/{w.method}/seed{w.seed}/chosen"
    delta = {"delta": ancient(f"{stem}/delta.safetensors"), "delta_record": f"{stem}/delta.json"}
    return model_inputs(w) | ({} if w.dataset == UNTUNED else delta)


def options(input, *keys):
    """Command line options for the inputs of these names that there are."""
    return [
        word
        for key in keys
        if key in input.keys()
        for word in (f"--{key}", *([input[key]] if isinstance(input[key], str) else input[key]))
    ]


def run_files(*kinds):
    """Files of some kinds of all runs, in their order: "outputs", "scores", "comparisons", "metrics", "history"."""
    found = {}
    for run in PLAN.runs():
        for kind in kinds:
            value = getattr(paths(R, run), kind)
            for path in value.values() if isinstance(value, dict) else [value] if value else []:
                found[str(path)] = None
    return list(found)


def mask_files(w, masks):
    """These masks of one model and dataset, of the first seed."""
    return [f"{R}/mask/{w.model}/{w.dataset}/seed{CONFIG.seeds[0]}/{mask}.safetensors" for mask in masks]


# All that is asked for. Outputs and scores by name, since one that was deleted is not missed if only the table is asked for.
PRODUCTS = [
    *run_files("outputs", "scores", "comparisons", "metrics"),
    *(f"{R}/tables/main.{kind}" for kind in ("csv", "md", "tex", "html")),
    *(f"{R}/figures/{figure}.{kind}" for figure in PLAN.figures() for kind in ("png", "pdf")),
    *ANALYSES.products(),
    f"{R}/samples/samples.html",
    f"{R}/config.html",
    f"{R}/provenance.json",
]
