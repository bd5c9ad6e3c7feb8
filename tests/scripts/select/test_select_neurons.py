"""Masks from the command line's arguments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from neft.core import neurons
from neft.core.mask import NeuronMask
from neft.errors import NeftError
from neft.models.identity import base_hash
from neft.selection.similarity import load_scores, save_scores
from neft.selection.states import States
from neft.storage.files import write_json
from scripts.select import select_neurons


@pytest.fixture(scope="module")
def record(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("record") / "model.json"
    write_json(path, neurons.describe(tiny_model) | {"base_hash": base_hash(tiny_model)})
    path.with_name("model").symlink_to(tiny_model)
    return path


@pytest.fixture(scope="module")
def distances(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("distances") / "distances.safetensors"
    sites = neurons.sites_of(neurons.describe(tiny_model))
    save_scores(
        path,
        {
            key: torch.arange(s.count) / 100
            for key, s in sites.items()
            if s.kind in ("up_proj", "down_proj")
        },
        {},
    )
    return path


def select(
    tmp_path: Path,
    record: Path,
    settings: dict[str, Any],
    *more: str,
    name: str = "mask",
    parts: Sequence[dict[str, Any]] = (),
) -> NeuronMask:
    path = tmp_path / f"{name}.safetensors"
    files = [
        "--model",
        str(record.with_name("model")),
        "--model-record",
        str(record),
        "--mask",
        str(path),
        "--record",
        str(path.with_suffix(".json")),
    ]
    spec = {"mask": settings, "parts": parts}
    select_neurons.main(["--spec", json.dumps(spec), *files, *more])
    return NeuronMask.load(path)


def test_a_mask_has_the_share_of_the_models_parameters_that_was_asked_for(
    tmp_path: Path, record: Path, distances: Path
) -> None:
    mask = select(
        tmp_path, record, {"kind": "similarity", "fraction": 0.09}, "--distances", str(distances)
    )
    parameters = json.loads(record.read_text())["parameters"]
    assert abs(mask.parameters - 0.09 * parameters) <= mask.hidden_size / 2
    assert mask.count == mask.budget == round(0.09 * parameters / 32)
    assert all(
        index.tolist() == list(range(64 - len(index), 64)) for index in mask.indices.values()
    )  # the largest distances
    assert (
        mask.selector["kind"] == "similarity"
        and mask.base_hash == json.loads(record.read_text())["base_hash"]
    )


def test_random_masks_need_no_distances_and_follow_the_seed(tmp_path: Path, record: Path) -> None:
    spec = {"kind": "random", "neurons": 20, "modules": ["q_proj", "o_proj"]}
    masks = [select(tmp_path, record, spec, "--seed", seed) for seed in ("1", "1", "2")]
    assert masks[0].sha256 == masks[1].sha256 != masks[2].sha256
    assert masks[0].count == 20 and set(masks[0].axes.values()) == {"row", "column"}


def test_rows_of_down_proj_can_be_chosen(tmp_path: Path, record: Path) -> None:
    mask = select(
        tmp_path, record, {"kind": "random", "neurons": 8, "modules": ["down_proj"], "axis": "row"}
    )
    assert set(mask.indices) == {f"model.layers.{i}.mlp.down_proj:row" for i in range(2)}
    assert mask.parameters == 8 * 64


def test_a_union_holds_the_neurons_of_its_masks(tmp_path: Path, record: Path) -> None:
    parts = [
        select(tmp_path, record, {"kind": "random", "neurons": 30}, "--seed", seed, name=seed)
        for seed in "12"
    ]
    files = [str(tmp_path / f"{seed}.safetensors") for seed in "12"]
    union = select(tmp_path, record, {"kind": "union", "of": ["a", "b"]}, "--masks", *files)
    for key, index in union.indices.items():
        assert set(index.tolist()) == set(parts[0].indices[key].tolist()) | set(
            parts[1].indices[key].tolist()
        )
    assert 30 < union.count <= 60


def test_a_record_says_what_was_chosen_by_kind_and_layer(
    tmp_path: Path, record: Path, distances: Path
) -> None:
    spec = {"kind": "similarity", "neurons": 8, "scope": "module"}
    mask = select(tmp_path, record, spec, "--distances", str(distances), name="m")
    found = json.loads((tmp_path / "m.json").read_text())
    assert (found["sha256"], found["neurons"], found["budget"], found["parameters"]) == (
        mask.sha256,
        8,
        8,
        8 * 32,
    )
    assert found["by_layer"]["1"] == {"chosen": 4, "offered": 128, "parameters": 128}
    assert (
        found["by_kind"]["down_proj"]["chosen"] == 4 and found["selector"]["kind"] == "similarity"
    )


def test_a_refilled_union_takes_each_parts_own_file_and_has_the_sum_of_the_budgets(
    tmp_path: Path, record: Path, distances: Path
) -> None:
    scores = load_scores(distances)
    save_scores(tmp_path / "other", {key: vector.flip(0) for key, vector in scores.items()}, {})
    save_scores(tmp_path / "norms", scores, {})
    parts = [
        {"kind": "similarity", "neurons": 20},
        {"kind": "magnitude", "neurons": 20},
        {"kind": "similarity", "neurons": 4},
    ]
    files = [
        "--distances",
        str(distances),
        str(tmp_path / "other"),
        "--norms",
        str(tmp_path / "norms"),
    ]
    union = {"kind": "union", "of": ["a", "b", "c"], "refill": True}
    mask = select(tmp_path, record, union, *files, parts=parts)
    assert mask.count == mask.budget == 44
    # The first two are the same neurons, 20 in two turns of 18 more; the third starts from the
    # other end.
    chosen = {key: set(index.tolist()) for key, index in mask.indices.items()}
    assert all(0 in index and 63 in index for index in chosen.values())


def test_a_mask_from_a_file_is_taken_as_it_is_if_it_is_of_this_model(
    tmp_path: Path, record: Path
) -> None:
    drawn = select(tmp_path, record, {"kind": "random", "neurons": 20}, name="drawn")
    taken = select(
        tmp_path,
        record,
        {"kind": "file", "path": ""},
        "--masks",
        str(tmp_path / "drawn.safetensors"),
    )
    assert {key: index.tolist() for key, index in taken.indices.items()} == {
        k: v.tolist() for k, v in drawn.indices.items()
    }
    assert taken.selector == {"kind": "file", "of": drawn.selector} and taken.budget == 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_hash": "f" * 64}, "a mask of another base model: made for ffffffffffff"),
        ({"count": 63}, r"up_proj has neurons .*'count': 63.*, but in this model .*'count': 64"),
        ({"key": "model.layers.7.mlp.up_proj"}, "unknown module 'model.layers.7.mlp.up_proj'"),
    ],
)
def test_a_mask_of_another_model_is_refused_by_name(
    tmp_path: Path, record: Path, change: dict[str, Any], message: str
) -> None:
    drawn = select(
        tmp_path, record, {"kind": "random", "neurons": 3, "modules": ["up_proj"]}, name="drawn"
    )
    key = "model.layers.0.mlp.up_proj"
    site = replace(drawn.sites[key], count=change.get("count", 64))
    index = torch.tensor([1], dtype=torch.int32)
    other = replace(
        drawn,
        indices={change.get("key", key): index},
        sites={change.get("key", key): site},
        base_hash=change.get("base_hash", drawn.base_hash),
    )
    other.save(tmp_path / "other.safetensors")
    with pytest.raises(NeftError, match=message) as caught:
        select(
            tmp_path,
            record,
            {"kind": "file", "path": ""},
            "--masks",
            str(tmp_path / "other.safetensors"),
        )
    assert str(caught.value).startswith(str(tmp_path / "other.safetensors"))


def planted_states(path: Path, directions: list[torch.Tensor], signal: bool = True) -> None:
    """Two layers' states of 60 train and 30 dev rows in as many classes as directions, which lie
    along them; or noise alone.
    """
    generator = torch.Generator().manual_seed(0)
    classes, means = {}, {}
    for split, rows in (("train", 60), ("dev", 30)):
        classes[split] = (torch.arange(rows) % len(directions)).int()
        noise = torch.randn(2, rows, 32, generator=generator) * 0.1
        planted = torch.stack(directions)[classes[split].long()]
        means[split] = [noise[0], noise[1] + 5 * planted if signal else noise[1]]
    States([f"class {n}" for n in range(len(directions))], classes, means).save(path, {})


def test_the_probe_finds_the_neurons_along_planted_class_directions(
    tmp_path: Path, record: Path, tiny_model: Path
) -> None:
    up = load_file(tiny_model / "model.safetensors")["model.layers.1.mlp.up_proj.weight"]
    down = load_file(tiny_model / "model.safetensors")["model.layers.1.mlp.down_proj.weight"]
    planted = [up[11], up[40], down[:, 7]]
    planted_states(tmp_path / "states", [vector / vector.norm() for vector in planted])
    files = ["--states", str(tmp_path / "states")]
    mask = select(
        tmp_path, record, {"kind": "probe", "neurons": 6, "alpha": 1.0, "scope": "layer"}, *files
    )
    assert {11, 40} <= set(mask.indices["model.layers.1.mlp.up_proj"].tolist())
    assert 7 in mask.indices["model.layers.1.mlp.down_proj"].tolist()
    report = json.loads((tmp_path / "mask.json").read_text())["report"]
    assert report["accuracy"][1] == 1 and report["accuracy"][0] < 0.7
    assert report["majority"] == pytest.approx(1 / 3) and report["classes"] == [
        "class 0",
        "class 1",
        "class 2",
    ]


def test_of_two_classes_neurons_along_either_are_found(
    tmp_path: Path, record: Path, tiny_model: Path
) -> None:
    up = load_file(tiny_model / "model.safetensors")["model.layers.1.mlp.up_proj.weight"]
    planted_states(tmp_path / "states", [up[3] / up[3].norm(), -up[3] / up[3].norm()])
    files = ["--states", str(tmp_path / "states")]
    spec = {
        "kind": "probe",
        "neurons": 2,
        "alpha": 1.0,
        "scope": "layer",
        "modules": ["up_proj", "q_proj", "o_proj"],
    }
    assert select(tmp_path, record, spec, *files).indices[
        "model.layers.1.mlp.up_proj"
    ].tolist() == [3]


def test_a_single_class_cannot_be_probed(tmp_path: Path, record: Path) -> None:
    planted_states(tmp_path / "states", [torch.ones(32)])
    with pytest.raises(NeftError, match="all train rows have the same class"):
        spec = {"kind": "probe", "neurons": 2, "alpha": 1.0}
        select(
            tmp_path,
            record,
            spec,
            "--states",
            str(tmp_path / "states"),
        )


def test_too_large_a_budget_and_missing_distances_are_errors(
    tmp_path: Path, record: Path, distances: Path
) -> None:
    with pytest.raises(
        NeftError,
        match=r"fraction: 0.9 asks for .* but up_proj and down_proj of LlamaForCausalLM have 256",
    ):
        select(tmp_path, record, {"kind": "random", "fraction": 0.9})
    with pytest.raises(NeftError, match="needs --distances"):
        select(tmp_path, record, {"kind": "similarity", "neurons": 3})
    with pytest.raises(NeftError, match=r"no 32 distances for model.layers.0.self_attn.q_proj"):
        select(
            tmp_path,
            record,
            {"kind": "similarity", "neurons": 3, "modules": ["q_proj"]},
            "--distances",
            str(distances),
        )


def test_scores_that_tell_nothing_apart_are_refused(tmp_path: Path, record: Path, distances: Path):
    """A probe of one step at a rate of 0: every neuron is where it was."""
    still = {key: torch.zeros(len(scores)) for key, scores in load_scores(distances).items()}
    save_scores(tmp_path / "still", still, {})
    for kind in ("similarity", "reversed"):
        with pytest.raises(NeftError, match="256 neurons have the same score, and only 20 of them"):
            select(
                tmp_path,
                record,
                {"kind": kind, "neurons": 20},
                "--distances",
                str(tmp_path / "still"),
            )


def test_a_record_says_what_the_ranking_follows(
    tmp_path: Path, record: Path, tiny_model: Path, distances: Path
):
    select(tmp_path, record, {"kind": "norm", "fraction": 0.09}, name="short")
    select(tmp_path, record, {"kind": "random", "neurons": 20, "seed": 3}, name="drawn")
    files = ["--distances", str(distances)]
    select(tmp_path, record, {"kind": "similarity", "neurons": 22}, *files, name="turned")
    short, drawn, turned = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("short", "drawn", "turned")
    )
    assert short["explained"]["norm"] > 0.97 > drawn["explained"]["norm"] < 0.2
    assert short["ties"] == drawn["ties"] == {"tied": 0, "taken": 0}
    # The same numbers in each of four modules: 22 are five of each and two of the next four.
    assert turned["ties"] == {"tied": 4, "taken": 2}
    assert turned["explained"]["module"] == pytest.approx(0)


def test_contrast_puts_what_the_task_alone_moved_first(
    tmp_path: Path, record: Path, distances: Path
):
    scores = load_scores(distances)
    reference = {key: vector.clone() for key, vector in scores.items()}
    key = "model.layers.1.mlp.up_proj"
    reference[key][[5, 9]] /= 4
    reference[key][7] = 0  # moved by nothing but the task
    save_scores(tmp_path / "noise", reference, {})
    files = ["--distances", str(distances), "--references", str(tmp_path / "noise")]
    mask = select(tmp_path, record, {"kind": "contrast", "neurons": 3}, *files)
    assert {k: index.tolist() for k, index in mask.indices.items() if len(index)} == {
        key: [5, 7, 9]
    }


def test_activation_is_the_largest_or_the_most_uneven(
    tmp_path: Path, record: Path, distances: Path
):
    keys = list(load_scores(distances))
    own = {key: torch.full((64,), 1.0) + torch.arange(64) / 1000 for key in keys}
    other = {key: vector.clone() for key, vector in own.items()}
    own[keys[0]][3], other[keys[0]][3] = 9.0, 9.0  # loud on both
    own[keys[1]][4], other[keys[1]][4] = 0.5, 0.0  # quiet, and of one alone
    for name, scores in (("own", own), ("other", other)):
        save_scores(tmp_path / name, scores, {})
    one = select(
        tmp_path,
        record,
        {"kind": "activation", "neurons": 1},
        "--activations",
        str(tmp_path / "own"),
    )
    assert one.indices[keys[0]].tolist() == [3]
    both = select(
        tmp_path,
        record,
        {"kind": "activation", "neurons": 1, "datasets": ["b"]},
        "--activations",
        str(tmp_path / "own"),
        str(tmp_path / "other"),
    )
    assert both.indices[keys[1]].tolist() == [4]
    with pytest.raises(NeftError, match="selector activation: needs --activations"):
        select(
            tmp_path,
            record,
            {"kind": "activation", "neurons": 1, "datasets": ["b"]},
            "--activations",
            str(tmp_path / "own"),
        )
