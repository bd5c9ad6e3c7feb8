"""Runs and rule params made from a configuration."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import yaml
from snakemake.utils import update_config

from neft.config import loader, mask_uses
from neft.workflow import plan as plan_module
from neft.workflow.plan import Plan
from neft.workflow.plan_tables import TablePlan

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())


def plan(**changes):
    return Plan(loader.load(copy.deepcopy(SHIPPED) | changes))


def test_the_longest_spec_of_the_full_scale_fits_on_a_command_line(monkeypatch):
    monkeypatch.chdir(ROOT)
    values = copy.deepcopy(SHIPPED)
    update_config(values, yaml.safe_load(Path("configs/paper.yaml").read_text()))
    found = Plan(loader.load(values))
    tables = TablePlan(found)
    texts = [
        plan_module.spec(**found.shown()),
        plan_module.spec(**found.samples()),
        tables.summarize_claims(),
    ]
    texts += [
        tables.make_paper_table(SimpleNamespace(table=table)) for table in found.config.tables
    ]
    # Linux: 128 KiB for one argument, here the whole command.
    assert max(len(text.encode()) for text in texts) < 100_000


def test_the_untuned_model_is_one_run_whatever_the_seeds():
    runs = plan(seeds=[1, 2, 3]).runs()
    assert [run.seed for run in runs if run.method == "base"] == [0]
    assert [run.seed for run in runs if run.method == "neft"] == [1, 2, 3]


def test_experiments_that_share_a_run_list_it_once():
    experiments = SHIPPED["experiments"] * 2
    assert plan(experiments=experiments).runs() == plan().runs()


def test_a_trial_is_named_by_its_learning_rate():
    methods = copy.deepcopy(SHIPPED["methods"])
    methods["neft"]["learning_rate"] = [1e-4, 0.002]
    assert list(plan(methods=methods).trials("neft")) == ["lr0.0001", "lr0.002"]


def test_the_baseline_of_a_seed_is_that_of_the_same_seed():
    w = SimpleNamespace(
        model="smollm2-135m-instruct", dataset="ui-en-fr", method="neft", seed="2", test="ui-en-fr"
    )
    assert plan(seeds=[1, 2]).baseline(w).seed == 2


def test_the_baseline_of_the_untuned_model_is_that_of_the_first_seed():
    w = SimpleNamespace(
        model="smollm2-135m-instruct", dataset="untuned", method="base", seed="0", test="ui-en-fr"
    )
    baseline = plan(seeds=[2, 1]).baseline(w)
    assert (baseline.method, baseline.seed, baseline.dataset) == ("full", 2, "ui-en-fr")


def test_a_split_knows_only_the_sizes_that_move_it():
    splits = SHIPPED["datasets"]["ui-en-fr"]["splits"]
    larger = copy.deepcopy(SHIPPED["datasets"])
    larger["ui-en-fr"]["splits"]["test"] += 1
    for split in ("train", "dev", "test"):
        w = SimpleNamespace(dataset="ui-en-fr", split=split)
        same = plan().split_dataset(w) == plan(datasets=larger).split_dataset(w)
        assert same == (split != "test")
    assert splits["test"] > 0


def with_masks(masks, **methods):
    """The shipped plan with these masks as well, and a method for each of these blocks."""
    added = {
        name: {"kind": "neft", "learning_rate": 1e-3} | block for name, block in methods.items()
    }
    experiment = SHIPPED["experiments"][0] | {
        "methods": [*SHIPPED["experiments"][0]["methods"], *added]
    }
    other = copy.deepcopy(SHIPPED["datasets"]["ui-en-fr"])
    return plan(
        masks=SHIPPED["masks"] | masks,
        methods=SHIPPED["methods"] | added,
        datasets=SHIPPED["datasets"] | {"other": other},
        experiments=[experiment],
    )


WHERE = {"model": "smollm2-135m-instruct", "dataset": "ui-en-fr", "seed": "1"}
RUN = "smollm2-135m-instruct/ui-en-fr/seed1"


def inputs_of(found, mask):
    return mask_uses.inputs(
        found.config, mask_uses.Use(mask, WHERE["dataset"]), WHERE["model"], WHERE["seed"]
    )


def test_an_early_mask_reads_the_probe_that_ends_early_and_the_last_step_is_the_default():
    last = SHIPPED["probe"]["steps"]
    found = with_masks(
        {f"at-{step}": {"kind": "magnitude", "neurons": 9, "step": step} for step in (2, last)}
    )
    for step, suffix in ((2, "-step2"), (last, "")):
        inputs = inputs_of(found, f"at-{step}")
        assert inputs == {
            "norms": [f"results/quickstart/similarity/{RUN}{suffix}.norms.safetensors"]
        }
    spec = json.loads(found.train_probe(SimpleNamespace(step="-step2", **WHERE)))
    assert spec.pop("stop") == 2
    assert spec == json.loads(found.train_probe(SimpleNamespace(step="", **WHERE)))


def test_a_refilled_union_reads_its_parts_scores_in_their_order_and_a_plain_one_their_masks():
    parts = ["low-similarity", {"mask": "high-similarity", "dataset": "other"}, "random"]
    found = with_masks(
        {
            kind: {"kind": "union", "of": parts, "refill": kind == "full"}
            for kind in ("full", "plain")
        }
    )
    other = RUN.replace("ui-en-fr", "other")
    assert inputs_of(found, "full") == {
        "distances": [f"results/quickstart/similarity/{run}.safetensors" for run in (RUN, other)]
    }
    masks = [f"{RUN}/low-similarity", f"{other}/high-similarity", f"{RUN}/random"]
    assert inputs_of(found, "plain") == {
        "masks": [f"results/quickstart/mask/{mask}.safetensors" for mask in masks]
    }
    spec = json.loads(found.select_neurons(SimpleNamespace(mask="full", **WHERE)))
    assert [part["kind"] for part in spec["of"]] == ["similarity", "reversed", "random"]


def test_a_mask_from_another_dataset_is_that_datasets_and_figures_say_so():
    found = with_masks({}, neft_trans={"mask": "low-similarity", "mask_from": "other"})
    assert (
        f"results/quickstart/mask/{RUN.replace('ui-en-fr', 'other')}/low-similarity"
        in found.masks()
    )
    names = list(mask_uses.shown(found.config, "smollm2-135m-instruct", "ui-en-fr"))
    assert names == ["low-similarity", "random", "high-similarity", "low-similarity (other)"]
    cuts = list(
        mask_uses.shown(found.config, "smollm2-135m-instruct", "ui-en-fr", reading="distances")
    )
    assert cuts == ["low-similarity", "high-similarity"]
    assert (
        found.trials("neft_trans").keys() == {"lr0.001"}
        and "mask_from" not in found.trials("neft_trans")["lr0.001"]
    )


def test_only_masks_that_look_at_the_probe_decide_what_it_is_compared_in():
    found = with_masks({"more": {"kind": "gradient", "neurons": 9, "modules": ["q_proj"]}})
    assert json.loads(found.compare_neurons(SimpleNamespace(**WHERE)))["modules"] == [
        "down_proj",
        "up_proj",
    ]


def test_loras_rank_is_the_nearest_to_nefts_parameters():
    """30 layers of SmolLM2-135M: q and o 576 to 576, k and v 576 to 192, gate, up and down 576 to
    1,536.
    """
    rank = SHIPPED["methods"]["lora"]["rank"]
    per_rank = 30 * (2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536))
    budget = round(SHIPPED["masks"]["low-similarity"]["fraction"] * 134_515_008 / 576) * 576
    assert min(range(1, 200), key=lambda r: abs(r * per_rank - budget)) == rank


def test_params_are_json_texts():
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
    for rule in (
        "prepare_model",
        "read_source",
        "train_probe",
        "compare_neurons",
        "choose_trial",
        "generate_outputs",
        "score_outputs",
    ):
        assert isinstance(json.loads(getattr(plan(), rule)(w)), dict)


def test_rows_to_skip_move_train_and_dev_and_are_kept_from_test():
    datasets = copy.deepcopy(SHIPPED["datasets"])
    datasets["ui-en-fr"]["splits"] = {"train": 20, "dev": 4, "test": 8, "skip": 20}

    def sizes(split: str) -> dict:
        return json.loads(
            plan(datasets=datasets).split_dataset(SimpleNamespace(dataset="ui-en-fr", split=split))
        )["sizes"]

    assert sizes("train") == {"train": 20, "skip": 20}
    assert sizes("dev") == {"dev": 4, "train": 20, "skip": 20}
    assert sizes("test") == {"test": 8, "reserved": 44}


def test_a_source_in_its_own_order_has_no_seed():
    datasets = copy.deepcopy(SHIPPED["datasets"])
    datasets["ui-en-fr"]["splits"]["shuffle"] = False
    w = SimpleNamespace(dataset="ui-en-fr")
    assert json.loads(plan(datasets=datasets).read_source(w))["seed"] is None
    assert json.loads(plan().read_source(w))["seed"] == 1


def test_the_parts_of_a_join_are_fetched_each_for_itself():
    hub = {
        "kind": "hub",
        "repo": "openlanguagedata/flores_plus",
        "revision": "a" * 40,
        "columns": {"pivot": "id", "text": "text"},
    }
    left, right = (
        hub | {"files": ["devtest/fra_Latn.parquet"]},
        hub | {"files": ["devtest/cmn_Hans.parquet"]},
    )
    datasets = SHIPPED["datasets"] | {"fr-zh": copy.deepcopy(SHIPPED["datasets"]["ui-en-fr"])}
    datasets["fr-zh"]["source"] = {"kind": "pivot", "left": left, "right": right}
    made = plan(datasets=datasets)
    assert list(made.hubs) == [("datasets", "fr-zh+left"), ("datasets", "fr-zh+right")]
    w = SimpleNamespace(kind="datasets", key="fr-zh+right")
    assert json.loads(made.fetch_hub(w))["patterns"] == ["devtest/cmn_Hans.parquet"]
    assert json.loads(made.read_source(SimpleNamespace(dataset="fr-zh")))["shares"] == [1, 1]
    code = made.read_source_code(SimpleNamespace(dataset="fr-zh"))
    assert code != made.read_source_code(SimpleNamespace(dataset="ui-en-fr"))


def test_a_grid_of_epochs_multiplies_that_of_learning_rates_and_names_both():
    methods = copy.deepcopy(SHIPPED["methods"])
    methods["neft"] |= {"learning_rate": [1e-4, 0.002], "epochs": [1, 2.5]}
    found = plan(methods=methods)
    assert list(found.trials("neft")) == [
        "lr0.0001-ep1",
        "lr0.0001-ep2.5",
        "lr0.002-ep1",
        "lr0.002-ep2.5",
    ]
    w = SimpleNamespace(
        model="smollm2-135m-instruct",
        dataset="ui-en-fr",
        method="neft",
        seed="1",
        trial="lr0.002-ep2.5",
    )
    told = json.loads(found.tune_model(w))
    assert (told["training"]["epochs"], told["method"]["learning_rate"]) == (
        2.5,
        0.002,
    ) and "epochs" not in told["method"]


def test_a_method_without_epochs_is_told_what_it_was_told_before_there_were_any():
    w = SimpleNamespace(
        model="smollm2-135m-instruct", dataset="ui-en-fr", method="full", seed="1", trial="lr0.0004"
    )
    told = json.loads(plan().tune_model(w))
    assert (
        told["method"] == {"kind": "full", "learning_rate": 4.0e-4}
        and told["training"]["epochs"] == 1
    )
