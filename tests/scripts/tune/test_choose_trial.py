import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neft.errors import NeftError
from neft.storage import files
from neft.training import search
from scripts.tune import choose_trial


def make_trials(root: Path, dev_losses: dict[str, float | None]) -> list[Path]:
    for name, loss in dev_losses.items():
        folder = root / name
        folder.mkdir()
        metrics = {
            "learning_rate": float(name.removeprefix("lr")),
            "epochs": 2.0,
            "dev_loss": loss,
            "best_step": 5,
            **({"diverged": "at step 3"} if loss is None else {}),
        }
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "delta.safetensors").write_text(f"delta of {name}")
        (folder / "delta.json").write_text(json.dumps({"sha256": name}))
        (folder / "history.jsonl").write_text(json.dumps({"loss": loss}) + "\n")
    return [root / name for name in dev_losses]


def choose(root: Path, dev_losses: dict[str, float | None]) -> Path:
    trials = make_trials(root, dev_losses)
    out = root / "chosen"
    outputs = {
        "delta": "delta.safetensors",
        "record": "delta.json",
        "metrics": "metrics.json",
        "history": "history.jsonl",
    }
    flags = [
        part
        for flag, name in {**outputs, "summary": "trials.json"}.items()
        for part in (f"--{flag}", str(out / name))
    ]
    choose_trial.main(
        ["--spec", json.dumps({"trials": list(dev_losses)}), "--trials", *map(str, trials), *flags]
    )
    return out


def test_keeps_the_files_of_the_trial_with_the_lowest_dev_loss(tmp_path: Path):
    out = choose(tmp_path, {"lr0.001": 2.0, "lr0.0001": 1.5, "lr1e-05": 3.0})
    assert (out / "delta.safetensors").read_text() == "delta of lr0.0001"
    assert files.read_json(out / "delta.json") == {"sha256": "lr0.0001"}
    assert files.read_json(out / "metrics.json")["learning_rate"] == 1e-4
    assert files.read_rows(out / "history.jsonl") == [{"loss": 1.5}]
    assert files.read_json(out / "trials.json") == [
        {
            "trial": "lr0.001",
            "learning_rate": 1e-3,
            "epochs": 2.0,
            "dev_loss": 2.0,
            "best_step": 5,
            "chosen": False,
        },
        {
            "trial": "lr0.0001",
            "learning_rate": 1e-4,
            "epochs": 2.0,
            "dev_loss": 1.5,
            "best_step": 5,
            "chosen": True,
        },
        {
            "trial": "lr1e-05",
            "learning_rate": 1e-5,
            "epochs": 2.0,
            "dev_loss": 3.0,
            "best_step": 5,
            "chosen": False,
        },
    ]


def test_the_delta_takes_no_room_of_its_own(tmp_path: Path):
    out = choose(tmp_path, {"lr0.001": 2.0})
    assert (out / "delta.safetensors").samefile(tmp_path / "lr0.001" / "delta.safetensors")


def test_choosing_again_replaces_the_choice(tmp_path: Path):
    out = choose(tmp_path, {"lr0.001": 2.0})
    choose_trial.link(tmp_path / "lr0.001" / "delta.json", out / "delta.safetensors")
    assert (out / "delta.safetensors").samefile(tmp_path / "lr0.001" / "delta.json")


@given(
    st.lists(
        st.one_of(st.floats(0, 10), st.just(math.nan), st.just(math.inf), st.none()), min_size=1
    )
)
def test_of_equal_trials_the_first_and_never_one_without_a_finite_loss(losses: list[float | None]):
    named = {f"lr{number}": loss for number, loss in enumerate(losses)}
    finite = [loss for loss in losses if loss is not None and math.isfinite(loss)]
    assert search.best(named) == (f"lr{losses.index(min(finite))}" if finite else None)


def test_if_all_diverged_each_says_at_which_step(tmp_path: Path):
    with pytest.raises(NeftError, match="no trial has a finite dev loss: lr1: at step 3; lr2: at"):
        choose(tmp_path, {"lr1": None, "lr2": None})
