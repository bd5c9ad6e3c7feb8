"""
Shared by all rules: the checked configuration, the plan made from it, and input functions.
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

from snakemake.settings.types import DeploymentMethod

from neft import plugins
from neft.config import loader, mask_uses, overlay
from neft.errors import NeftError
from neft.workflow.plan_figures import FigurePlan
from neft.workflow import gpus
from neft.workflow.plan import Plan, code, plain, spec
from neft.workflow.plan_analyses import AnalysisPlan
from neft.workflow.resources import Needs, grown
from neft.results.runs import UNTUNED, files_of, paths
from neft.workflow.plan_tables import TablePlan

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

PLAN = Plan(CONFIG)
R = f"results/{CONFIG.name}"
ANALYSES = AnalysisPlan(PLAN)
FIGURES = FigurePlan(PLAN)
TABLES = TablePlan(PLAN)

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

# With `--sdm conda` every rule has its environment; without it COMET's is built by a rule.
CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


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
    step="|-step[0-9]+",
    metric=one_of(CONFIG.metrics),
    ranks=one_of(CONFIG.analyses.ranks),
    overlap=one_of(CONFIG.analyses.overlaps),
    losses=one_of(FIGURES.losses),
    budgets=one_of(FIGURES.budgets),
    split="train|dev|test",
    seed="[0-9]+",
    table=one_of(CONFIG.tables),
    trial="lr[0-9][0-9.e-]*(-ep[0-9][0-9.e-]*)?",


def files_in(folder):
    """The files that lie directly in a local folder."""
    return (
        [str(file) for file in sorted(Path(folder).iterdir()) if file.is_file()]
        if Path(folder).is_dir()
        else []
    )


def source_inputs(group, key):
    """The files of a source. What was downloaded is ancient(): its record, which holds the hash, is what is compared."""
    files = {"paths": [], "content": [], "fetched": []}
    for part in PLAN.parts(group, key):
        local = PLAN.local_paths(group, key, part)
        # A model's directory as such tells nothing; what lies in it does.
        files["paths"] += [ancient(path) if Path(path).is_dir() else path for path in local]
        files["content"] += [file for path in local for file in files_in(path)]
        if not local:
            fetched, record = PLAN.fetched(group, key, part)
            files["paths"].append(ancient(fetched))
            files["fetched"].append(record)
    return files


def model_inputs(w):
    """The base model. Large, so ancient() as well; its record is compared."""
    return {"model": ancient(f"{R}/model/{w.model}"), "model_record": f"{R}/model/{w.model}.json"}


def mask_inputs(w):
    """What a mask's selector reads: scores, hidden states, weights, other masks, or nothing."""
    files = mask_uses.inputs(CONFIG, mask_uses.Use(w.mask, w.dataset), w.model, w.seed)
    return files | {
        key: [ancient(path) for path in files[key]] for key in ("weights",) if key in files
    }


def tune_inputs(w):
    """The base model, and the mask where the method trains one."""
    trained = mask_uses.of_method(CONFIG, w.method, w.dataset)
    return model_inputs(w) | (
        {"mask": f"{mask_uses.path(CONFIG, trained, w.model, w.seed)}.safetensors"}
        if trained
        else {}
    )


def trial_files(w, file):
    """One file of each trial of a method."""
    stem = f"{R}/tune/{w.model}/{w.dataset}/{w.method}/seed{w.seed}"
    return [f"{stem}/{trial}/{file}" for trial in PLAN.trials(w.method)]


def generate_inputs(w):
    """The base model, and what the chosen trial changed in it."""
    stem = f"{R}/tune/{w.model}/{w.dataset}/{w.method}/seed{w.seed}/chosen"
    delta = {"delta": ancient(f"{stem}/delta.safetensors"), "delta_record": f"{stem}/delta.json"}
    return model_inputs(w) | ({} if w.dataset == UNTUNED else delta)


def benchmark_inputs(w):
    """As for generation, and what the benchmark itself reads; a wheel is ancient(), its record is compared."""
    files = PLAN.benchmark_files(w.test)
    if "punkt_record" in files:
        files["punkt"] = ancient(files["punkt"])
    return generate_inputs(w) | files


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


def comet_inputs(w):
    """A COMET model and its encoder, fetched or local, and the environment that runs it."""
    metric, stem = CONFIG.metrics[w.metric], f"{R}/fetch/{{}}/{w.metric}"
    fetched = plugins.load("metrics", metric.kind).fetch_specs(metric)
    if "metrics" in fetched:
        model = {
            "model": ancient(stem.format("metrics")),
            "model_record": stem.format("metrics") + ".json",
        }
    else:
        model = {
            "checkpoint": metric.checkpoint,
            "settings": str(Path(metric.checkpoint).parents[1] / "hparams.yaml"),
        }
    if "encoders" in fetched:
        encoder = {
            "encoder": ancient(stem.format("encoders")),
            "encoder_record": stem.format("encoders") + ".json",
        }
    else:
        encoder = {"encoder": ancient(metric.encoder), "content": files_in(metric.encoder)}
    return model | encoder | ({} if CONDA else {"ready": ancient(".venv-comet/ready")})


def comet_checkpoint(w, input):
    """The file with the weights of a COMET model."""
    return f"{input.model}/checkpoints/model.ckpt" if "model" in input.keys() else input.checkpoint


def segments(w, run, key):
    """The scores of a run's segments, as the input `key`, for a metric that reads them from another rule."""
    path = PLAN.segments(run, w.test, w.metric)
    return {key: path} if path else {}


def run_files(*kinds, root=R):
    """Files of some kinds of all runs, in their order: "outputs", "scores", "comparisons", "metrics", "history", …"""
    return files_of(root, PLAN.runs(), *kinds)


def mask_files(w, reading=None, suffix="safetensors"):
    """Files of the masks that a figure of one model and training set shows, of the first seed."""
    shown = mask_uses.shown(CONFIG, w.model, w.dataset, reading).values()
    return [f"{mask_uses.path(CONFIG, mask, w.model, CONFIG.seeds[0])}.{suffix}" for mask in shown]


# All that is asked for but the record of what made it. Outputs and scores by name, since one that
# was deleted is not missed if only the table is asked for.
MADE = [
    *run_files("outputs", "scores", "comparisons", "metrics"),
    *(f"{R}/tables/main.{kind}" for kind in ("csv", "md", "tex", "html")),
    *(f"{R}/figures/{figure}.{kind}" for figure in FIGURES.names() for kind in ("png", "pdf")),
    *ANALYSES.products(),
    *TABLES.products(),
    f"{R}/samples/samples.html",
    f"{R}/config.html",
]
PRODUCTS = [*MADE, *run_files("provenance", "delta_provenance"), f"{R}/provenance.json"]
