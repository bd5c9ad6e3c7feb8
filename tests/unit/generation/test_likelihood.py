"""Likelihoods of answers against the plainest computation: one prompt, one answer, no batch, no
padding, no cache.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

import tuned
from neft import plugins
from neft.data import encode
from neft.generation.likelihood import log_likelihoods
from neft.models import runtime
from neft.storage.files import read_rows

WORDS = ["Oui", "Non", "Peut-être bien que non", "Ou"]


def talkative(network: Any) -> Any:
    """Give a random model weights so large that its answers are far from equally likely."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3)
    return network.eval()


@pytest.fixture(scope="module")
def encoded(tiny_model: Path, tiny_rows: Path) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Prompts of several lengths, each with answers of several lengths, one of which begins like
    another.
    """
    _, tokenizer = runtime.load_model(tiny_model, "float32")
    task = plugins.load("tasks", "translation")
    rows = [
        encode.choices(tokenizer, task.messages(row, tuned.task()), WORDS, {2})
        for row in read_rows(tiny_rows)[:12]
    ]
    return [prompt for prompt, _ in rows], [answers for _, answers in rows]


def by_hand(model: Any, prompt: list[int], answer: list[int]) -> float:
    """The sum of ln p(token | all before it), each from a forward pass of its own."""
    total = 0.0
    for place, token in enumerate(answer):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer[:place]])).logits[0, -1]
        total += float(logits.double().softmax(-1)[token].log())
    return total


def expected(model: Any, prompts: Any, answers: Any) -> Any:
    found = [[by_hand(model, p, a) for a in some] for p, some in zip(prompts, answers, strict=True)]
    return torch.tensor(found, dtype=torch.float64)


def close(found: list[list[float]], wanted: torch.Tensor) -> None:
    torch.testing.assert_close(
        torch.tensor(found, dtype=torch.float64), wanted, rtol=1e-5, atol=1e-4
    )


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    return talkative(runtime.load_model(tiny_model, "float32")[0])


def test_answers_end_with_the_end_token_and_prompts_are_those_of_generation(tiny_model: Path):
    _, tokenizer = runtime.load_model(tiny_model, "float32")
    messages = [{"role": "user", "content": "Open the file?"}]
    prompt, answers = encode.choices(tokenizer, messages, WORDS, {2})
    assert prompt == encode.prompt_ids(tokenizer, messages)
    assert [tokenizer.decode(answer) for answer in answers] == [
        f"{word}<|im_end|>" for word in WORDS
    ]


@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_likelihoods_are_those_computed_by_hand_in_batches_of_any_size(
    batch_size: int, model: Any, encoded: Any
):
    prompts, answers = encoded
    found = [
        scores
        for start in range(0, len(prompts), batch_size)
        for scores in log_likelihoods(
            model, prompts[start : start + batch_size], answers[start : start + batch_size]
        )
    ]
    wanted = expected(model, prompts, answers)
    close(found, wanted)
    assert len({tuple(row.argsort().tolist()) for row in wanted}) > 1, (
        "the order must differ, or nothing is told apart"
    )


def test_answers_of_one_token_are_scored(model: Any, encoded: Any):
    prompts, _ = encoded
    answers = [[[5], [6]]] * len(prompts)
    close(log_likelihoods(model, prompts, answers), expected(model, prompts, answers))


def test_prompts_with_nothing_in_common_and_of_any_length_are_scored(model: Any):
    prompts = [[5], [6, 7, 8, 9, 10, 11], [12, 13]]
    answers = [[[20, 2], [21, 22, 23, 2], [2]]] * 3
    close(log_likelihoods(model, prompts, answers), expected(model, prompts, answers))


@pytest.mark.parametrize(
    "name",
    [
        "MistralForCausalLM",
        "Gemma3ForCausalLM",
        "GPT2LMHeadModel",
        "PhiForCausalLM",
        "Qwen3ForCausalLM",
    ],
)
def test_other_architectures_score_as_one_by_one(name: str, encoded: Any):
    import transformers

    sizes: dict[str, Any] = {
        "vocab_size": 400,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
    }
    sizes |= {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "tie_word_embeddings": False,
    }
    sizes |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    if name == "GPT2LMHeadModel":
        sizes = {"vocab_size": 400, "n_embd": 32, "n_layer": 2, "n_head": 4}
    if name in ("MistralForCausalLM", "Gemma3ForCausalLM"):
        sizes["sliding_window"] = 16  # shorter than the prompts
    kind = getattr(transformers, name)
    model = talkative(kind(kind.config_class(**sizes)))
    prompts, answers = encoded[0][:4], encoded[1][:4]
    close(log_likelihoods(model, prompts, answers), expected(model, prompts, answers))
