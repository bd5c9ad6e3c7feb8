from pathlib import Path

import pytest
import torch
from torch import nn

import tuned
from neft import plugins
from neft.data import encode
from neft.models import runtime
from neft.storage.files import read_rows
from neft.training.loss import completion_loss, row_losses


@pytest.fixture(scope="module")
def batch(tiny_model: Path, tiny_rows: Path) -> dict[str, torch.Tensor]:
    model, tokenizer = runtime.load_model(tiny_model, "float32")
    task = plugins.load("tasks", "translation")
    stops = encode.stop_tokens(model, tokenizer)
    examples, _ = encode.examples(
        tokenizer, read_rows(tiny_rows)[:6], task, tuned.task(), stops, 512
    )
    return encode.pad(examples)


def reference_loss(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The model's own loss, with an attention mask and all logits; a mean over the labelled
    tokens.
    """
    positions = torch.arange(batch["input_ids"].shape[1])
    mask = (positions < batch["lengths"][:, None]).long()
    loss: torch.Tensor = model(
        input_ids=batch["input_ids"], attention_mask=mask, labels=batch["labels"]
    ).loss
    return loss


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_loss_and_gradients_are_those_of_the_models_own_loss(
    kind: str, tiny_model: Path, batch: dict[str, torch.Tensor]
):
    model = runtime.load_model(tiny_model, "float32")[0]
    model = plugins.load("methods", kind).prepare(model, tuned.method(kind), None)
    expected = reference_loss(model, batch)
    expected.backward()
    gradients = [p.grad.clone() for p in model.parameters() if p.requires_grad]
    model.zero_grad()

    total, count = completion_loss(model, batch["input_ids"], batch["labels"])
    (total / count).backward()

    torch.testing.assert_close(total / count, expected)
    for found, wanted in zip(
        [p.grad for p in model.parameters() if p.requires_grad], gradients, strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_soft_capped_logits_keep_their_cap(batch: dict[str, torch.Tensor]):
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 8}
    config = Gemma2Config(
        vocab_size=384,
        **sizes,
        num_attention_heads=4,
        num_key_value_heads=2,
        final_logit_softcapping=0.5,
        initializer_range=0.5,
    )
    model = Gemma2ForCausalLM(config).eval()
    total, count = completion_loss(model, batch["input_ids"], batch["labels"])
    torch.testing.assert_close(total / count, reference_loss(model, batch))


def test_only_hidden_states_that_predict_a_label_reach_the_head(
    tiny_model: Path, batch: dict[str, torch.Tensor]
):
    model = runtime.load_model(tiny_model, "float32")[0]
    rows = []
    model.get_output_embeddings().register_forward_hook(
        lambda module, args, out: rows.append(out.shape[:-1])
    )
    _, count = completion_loss(model, batch["input_ids"], batch["labels"])
    assert rows == [(int((batch["labels"] != encode.IGNORED).sum()),)] == [(int(count),)]


def test_the_head_is_as_before_afterwards(tiny_model: Path, batch: dict[str, torch.Tensor]):
    model = runtime.load_model(tiny_model, "float32")[0]
    completion_loss(model, batch["input_ids"], batch["labels"])
    assert model(input_ids=batch["input_ids"]).logits.shape == (*batch["input_ids"].shape, 384)


def test_the_losses_of_rows_are_those_of_each_row_alone(
    tiny_model: Path, batch: dict[str, torch.Tensor]
):
    model = runtime.load_model(tiny_model, "float32")[0]
    losses, tokens, right = row_losses(model, batch["input_ids"], batch["labels"])
    logits = model(input_ids=batch["input_ids"]).logits
    for row, length in enumerate(batch["lengths"].tolist()):
        labels = batch["labels"][row, :length]
        answer = labels != encode.IGNORED
        alone = {"input_ids": batch["input_ids"][row : row + 1, :length], "labels": labels[None]}
        torch.testing.assert_close(losses[row] / tokens[row], model(**alone).loss)
        assert tokens[row] == answer.sum()
        likeliest = logits[row, : length - 1].argmax(-1)
        assert right[row] == (likeliest == labels[1:])[answer[1:]].sum()
    total, count = completion_loss(model, batch["input_ids"], batch["labels"])
    torch.testing.assert_close(losses.sum(), total)
    assert tokens.sum() == count
