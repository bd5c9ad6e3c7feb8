import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import tuned
from neft import plugins
from neft.core.mask import NeuronMask
from neft.data import encode
from neft.data.batches import LengthGrouped
from neft.data.encode import Example
from neft.errors import NeftError
from neft.models import runtime
from neft.storage.files import read_rows
from neft.training import checkpoints, trainer
from neft.training.settings import Training

Data = tuple[list[Example], list[Example]]


@pytest.fixture(scope="module")
def data(tiny_model: Path, tiny_rows: Path) -> Data:
    """36 rows to train on (not a multiple of the batch) and 10 for dev."""
    model, tokenizer = runtime.load_model(tiny_model, "float32")
    rows = read_rows(tiny_rows)[::-1]
    stops = encode.stop_tokens(model, tokenizer)
    examples, _ = encode.examples(
        tokenizer, rows, plugins.load("tasks", "translation"), tuned.task(), stops, 512
    )
    return examples[:36], examples[36:46]


@pytest.fixture(scope="module")
def overfit(data: Data) -> Data:
    """Dev rows with answers of tokens that never occur in training, so that their loss rises from
    the first step on.
    """
    draw = random.Random(0)
    used = {token for example in data[0] for token in example["input_ids"]}
    unused = [token for token in range(384) if token not in used]

    def other(example: Example) -> Example:
        labels = [
            label if label == encode.IGNORED else draw.choice(unused) for label in example["labels"]
        ]
        return {"input_ids": example["input_ids"], "labels": labels}

    return data[0], [other(example) for example in data[1]]


@pytest.fixture(scope="module")
def mask(tiny_model: Path) -> NeuronMask:
    return tuned.make_mask(tiny_model)


def prepared(tiny_model: Path, kind: str, mask: NeuronMask | None = None) -> Any:
    torch.manual_seed(1)
    model = runtime.load_model(tiny_model, "float32")[0]
    return plugins.load("methods", kind).prepare(model, tuned.method(kind), mask)


def fit(model: Any, data: Data, folder: Path, **options: Any) -> checkpoints.Progress:
    own, schedule = (
        {key: options.pop(key) for key in keys if key in options}
        for keys in (
            ("learning_rate", "precision", "fingerprint", "seed"),
            ("steps", "stop", "keep_best"),
        )
    )
    defaults = {"learning_rate": 1e-2, "precision": "float32", "fingerprint": {}, "seed": 1}
    settings = Training(**tuned.TRAINING | options)
    run = trainer.Run(
        settings=settings, folder=folder, schedule=trainer.Schedule(**schedule), **defaults | own
    )
    return trainer.fit(model, *data, run)


def losses(progress: checkpoints.Progress, split: str) -> dict[int, float]:
    return {row["step"]: row["loss"] for row in progress.history if row["split"] == split}


def copy(model: Any) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in checkpoints.trained(model).items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(tensor, other[name]) for name, tensor in one.items()
    )


def test_every_method_learns(data: Data, tiny_model: Path, mask: NeuronMask, tmp_path: Path):
    for kind in tuned.SETTINGS:
        progress = fit(prepared(tiny_model, kind, mask), data, tmp_path / kind)
        dev = losses(progress, "dev")
        assert progress.dev_loss == min(dev.values()) < math.log(384), kind
        assert sorted(dev) == [3, 5, 8, 10] and sorted(losses(progress, "train")) == list(
            range(1, 11)
        )


def test_training_equals_a_plain_loop_of_adamw(data: Data, tiny_model: Path, tmp_path: Path):
    model, plain = prepared(tiny_model, "full"), prepared(tiny_model, "full")
    settings = {
        "epochs": 1,
        "warmup_ratio": 0,
        "schedule": "constant",
        "clip": 0.1,
        "evaluations": 1,
    }
    fit(model, data, tmp_path, **settings, learning_rate=1e-3)

    order = list(LengthGrouped([len(e["input_ids"]) for e in data[0]], 8, seed=1))
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-3, weight_decay=0)
    for start in range(0, len(order), 8):
        batch = encode.pad([data[0][i] for i in order[start : start + 8]])
        plain(input_ids=batch["input_ids"], labels=batch["labels"]).loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.1)
        optimizer.step()
        optimizer.zero_grad()
    for found, wanted in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found.cpu(), wanted, rtol=1e-4, atol=1e-5)


def test_micro_batches_train_like_whole_batches(data: Data, tiny_model: Path, tmp_path: Path):
    whole, parts = prepared(tiny_model, "full"), prepared(tiny_model, "full")
    fit(whole, data, tmp_path / "whole", learning_rate=1e-3)
    fit(parts, data, tmp_path / "parts", learning_rate=1e-3, micro_batch_size=2)
    for found, wanted in zip(parts.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


def test_long_batches_in_parts_train_like_whole_batches(
    data: Data, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole, parts = prepared(tiny_model, "full"), prepared(tiny_model, "full")
    first = fit(whole, data, tmp_path / "whole", learning_rate=1e-3)
    monkeypatch.setattr(trainer, "TOKENS_AT_ONCE", 300)
    second = fit(parts, data, tmp_path / "parts", learning_rate=1e-3)
    assert second.tokens == first.tokens and losses(second, "train") == pytest.approx(
        losses(first, "train"), rel=1e-4
    )
    for found, wanted in zip(parts.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


def test_gradient_checkpointing_changes_no_result(
    data: Data, tiny_model: Path, mask: NeuronMask, tmp_path: Path
):
    for kind in ("neft", "lora"):
        plain, checkpointed = (prepared(tiny_model, kind, mask) for _ in range(2))
        fit(plain, data, tmp_path / kind / "plain")
        fit(checkpointed, data, tmp_path / kind / "checkpointed", gradient_checkpointing=True)
        assert equal(copy(plain), copy(checkpointed)), kind


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_unselected_weights_keep_their_bits(
    precision: str, data: Data, tiny_model: Path, mask: NeuronMask, tmp_path: Path
):
    base = runtime.load_model(tiny_model, "float32")[0]
    runtime.store_frozen_weights(base.requires_grad_(False), precision)
    model = prepared(tiny_model, "neft", mask)
    fit(model, data, tmp_path, precision=precision, weight_decay=0.1)
    changed = 0
    for name, former in base.named_parameters():
        now, site = model.get_parameter(name).cpu(), mask.sites.get(name.removesuffix(".weight"))
        same = now.eq(former)
        if site is not None:
            selected = mask.indices[site.module].long()
            changed += int((~same).sum())
            same = same.index_fill(site.dim, selected, True)
        assert same.all(), name
    assert changed > 0.5 * mask.parameters


def test_the_result_is_the_best_of_the_evaluated_states(
    overfit: Data, tiny_model: Path, tmp_path: Path
):
    model, again = prepared(tiny_model, "full"), prepared(tiny_model, "full")
    progress = fit(model, overfit, tmp_path)
    dev = losses(progress, "dev")
    assert progress.dev_loss == min(dev.values()) == dev[progress.dev_step]
    assert progress.dev_step < max(dev), "the dev loss should rise, or nothing is tested"
    fit(again, overfit, tmp_path / "again", keep_best=False)
    assert not equal(copy(model), copy(again))


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_a_run_of_one_step_moves_the_weights(
    data: Data, tiny_model: Path, mask: NeuronMask, tmp_path: Path, schedule: str
):
    for kind in ("full", "lora", "neft"):
        model = prepared(tiny_model, kind, mask)
        before = copy(model)
        fit(model, data, tmp_path / kind, steps=1, schedule=schedule)
        assert not equal(copy(model), before), kind


def test_a_run_stops_after_some_evaluations_without_a_new_best(
    overfit: Data, tiny_model: Path, tmp_path: Path
):
    model, again = prepared(tiny_model, "full"), prepared(tiny_model, "full")
    whole = fit(model, overfit, tmp_path, evaluations=10)
    stopped = fit(again, overfit, tmp_path / "again", evaluations=10, early_stop=2)
    assert (
        sorted(losses(stopped, "dev")) == list(range(1, whole.dev_step + 3))
        and whole.dev_step + 2 < 10
    )
    assert equal(copy(model), copy(again))


def test_the_last_state_is_the_result_where_that_is_asked_for(
    data: Data, tiny_model: Path, tmp_path: Path
):
    progress = fit(
        prepared(tiny_model, "full"),
        data,
        tmp_path,
        learning_rate=0.05,
        steps=7,
        keep_best=False,
        early_stop=1,
    )
    assert progress.dev_step == 7 == max(losses(progress, "train"))
    assert progress.dev_loss == losses(progress, "dev")[7]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", tuned.SETTINGS)
def test_a_resumed_run_ends_with_the_same_bits(
    kind: str, precision: str, data: Data, tiny_model: Path, mask: NeuronMask, tmp_path: Path
):
    options = {
        "precision": precision,
        "epochs": 3,
        "evaluations": 4,
        "micro_batch_size": 4,
        "schedule": "cosine",
    }
    model, again = prepared(tiny_model, kind, mask), prepared(tiny_model, kind, mask)
    whole = fit(model, data, tmp_path, **options)
    last = checkpoints.latest(tmp_path)
    assert last is not None and last.name == "step-00000012", (
        "three quarters through: in the middle of the last epoch"
    )
    resumed = fit(again, data, tmp_path, **options)
    assert equal(copy(model), copy(again))
    assert losses(resumed, "train") == losses(whole, "train") and losses(resumed, "dev") == losses(
        whole, "dev"
    )
    assert len(resumed.history) == len(whole.history) and resumed.tokens == whole.tokens


def test_dropout_goes_on_where_it_was(data: Data, tiny_model: Path, tmp_path: Path):
    def lora_with_dropout() -> Any:
        torch.manual_seed(1)
        model = runtime.load_model(tiny_model, "float32")[0]
        return plugins.load("methods", "lora").prepare(
            model, tuned.method("lora", dropout=0.3), None
        )

    model, again = lora_with_dropout(), lora_with_dropout()
    fit(model, data, tmp_path)
    fit(again, data, tmp_path)
    assert equal(copy(model), copy(again))


def test_a_run_that_was_stopping_early_stops_as_early_when_resumed(
    overfit: Data, tiny_model: Path, tmp_path: Path
):
    options = {"evaluations": 10, "early_stop": 3}
    model, again = prepared(tiny_model, "full"), prepared(tiny_model, "full")
    whole = fit(model, overfit, tmp_path, **options)
    last = checkpoints.latest(tmp_path)
    assert whole.worse == 3 and last == checkpoints.path_of(tmp_path, whole.dev_step + 2), (
        "the best is further back than the last"
    )
    resumed = fit(again, overfit, tmp_path, **options)
    assert equal(copy(model), copy(again)) and losses(resumed, "dev") == losses(whole, "dev")


def test_all_methods_see_the_same_data_in_the_same_order(
    data: Data, tiny_model: Path, mask: NeuronMask, tmp_path: Path
):
    first = {
        kind: losses(
            fit(prepared(tiny_model, kind, mask), data, tmp_path / kind, learning_rate=1e-12),
            "train",
        )
        for kind in tuned.SETTINGS
    }
    for kind, found in first.items():
        assert found == pytest.approx(first["full"], abs=1e-5), kind


def test_a_loss_that_is_not_finite_ends_the_run_and_says_where(
    data: Data, tiny_model: Path, tmp_path: Path
):
    with pytest.raises(
        NeftError, match=r"diverged: loss nan at step \d+ of 10, learning rate .*peak 1e\+30"
    ):
        fit(prepared(tiny_model, "full"), data, tmp_path, learning_rate=1e30, warmup_ratio=0)


def test_no_rows_left_is_an_error(data: Data, tiny_model: Path, tmp_path: Path):
    with pytest.raises(NeftError, match="0 train and 10 dev rows of at most 512 tokens"):
        fit(prepared(tiny_model, "full"), ([], data[1]), tmp_path)
