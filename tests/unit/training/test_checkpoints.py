from pathlib import Path
from typing import Any

import pytest
import torch

import tuned
from neft import plugins
from neft.data import encode
from neft.errors import NeftError
from neft.models import runtime
from neft.storage.files import read_json, read_rows
from neft.training import checkpoints, trainer
from neft.training.settings import Training

FINGERPRINT = {
    "base_hash": "b" * 64,
    "mask_sha256": "m" * 64,
    "seed": 1,
    "method": {"learning_rate": 0.01},
}


@pytest.fixture(scope="module")
def run(
    tiny_model: Path, tiny_rows: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any]:
    """A finished run of ten steps with evaluations after 3, 5, 8 and 10; and its folder."""
    folder = tmp_path_factory.mktemp("run")
    return folder, train(tiny_model, tiny_rows, folder, FINGERPRINT)


def train(tiny_model: Path, tiny_rows: Path, folder: Path, fingerprint: dict[str, Any]) -> Any:
    model, tokenizer = runtime.load_model(tiny_model, "float32")
    model = plugins.load("methods", "neft").prepare(
        model, tuned.method("neft"), tuned.make_mask(tiny_model)
    )
    task = plugins.load("tasks", "translation")
    examples, _ = encode.examples(
        tokenizer, read_rows(tiny_rows), task, tuned.task(), frozenset({2}), 512
    )
    run = trainer.Run(
        settings=Training(**tuned.TRAINING),
        learning_rate=0.01,
        seed=1,
        precision="float32",
        folder=folder,
        fingerprint=fingerprint,
    )
    trainer.fit(model, examples[:40], examples[40:50], run)
    return model


def test_a_checkpoint_holds_the_trainable_state_and_no_pickle(run: tuple[Path, Any]):
    folder, model = run
    checkpoint = checkpoints.latest(folder)
    assert checkpoint is not None
    names = {
        "trained.safetensors",
        "optimizer.safetensors",
        "random.safetensors",
        "state.json",
        "trainer_state.json",
    }
    assert {file.name for file in checkpoint.iterdir()} == names
    numbers = sum(p.numel() for p in model.parameters() if p.requires_grad)
    size = sum(
        (checkpoint / name).stat().st_size
        for name in ("trained.safetensors", "optimizer.safetensors")
    )
    assert size < 3 * 4 * numbers + 4000, "three float32 numbers for each trained one, and headers"


def test_the_latest_and_the_best_checkpoint_are_kept(run: tuple[Path, Any]):
    folder, _ = run
    last = checkpoints.latest(folder)
    assert last is not None and last.name == "step-00000008"
    best = read_json(last / "state.json")["progress"]["dev_step"]
    assert {file.name for file in folder.iterdir()} == {last.name, f"step-{best:08d}"}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"mask_sha256": "x" * 64}, "mask_sha256: m+ there, x+ here"),
        ({"base_hash": "x" * 64}, "base_hash: b+ there, x+ here"),
        ({"seed": 2}, "seed: 1 there, 2 here"),
        ({"method": {"learning_rate": 0.02}}, "learning_rate.*0.01.*there.*0.02.*here"),
        (
            {"seed": 2, "mask_sha256": None},
            "mask_sha256: m+ there, None here; seed: 1 there, 2 here",
        ),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    change: dict[str, Any], message: str, run: tuple[Path, Any], tiny_model: Path, tiny_rows: Path
):
    with pytest.raises(
        NeftError, match=f"step-00000008: a checkpoint of another run, not resumed .*{message}"
    ):
        train(tiny_model, tiny_rows, run[0], FINGERPRINT | change)


def test_half_a_checkpoint_is_removed_and_not_resumed(
    tiny_model: Path, tiny_rows: Path, run: tuple[Path, Any], tmp_path: Path
):
    (tmp_path / ".step-00000009").mkdir()
    (tmp_path / ".step-00000009" / "trained.safetensors").write_bytes(b"half")
    model = train(tiny_model, tiny_rows, tmp_path, FINGERPRINT)
    assert not list(tmp_path.glob(".step-*"))
    for name, tensor in checkpoints.trained(model).items():
        assert torch.equal(tensor, checkpoints.trained(run[1])[name])


def test_the_newest_checkpoint_is_the_one_of_the_highest_step(tmp_path: Path):
    for step in (9, 10, 100_000):
        checkpoints.path_of(tmp_path, step).mkdir()
    assert checkpoints.latest(tmp_path) == checkpoints.path_of(tmp_path, 100_000)
    assert checkpoints.latest(tmp_path / "nothing") is None


def test_restoring_neurons_brings_the_dense_weight_up_to_date(
    run: tuple[Path, Any], tiny_model: Path
):
    folder, _ = run
    model, _ = runtime.load_model(tiny_model, "float32")
    model = plugins.load("methods", "neft").prepare(
        model, tuned.method("neft"), tuned.make_mask(tiny_model)
    )
    last = checkpoints.latest(folder)
    assert last is not None
    checkpoints.restore(model, last)
    layer = model.model.layers[0].mlp.up_proj
    assert torch.equal(layer.weight[layer.row_index], layer.row_neurons)
