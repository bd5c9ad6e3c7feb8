from pathlib import Path
from typing import Any

import pytest
import torch

import tuned
from neft import plugins
from neft.data import encode
from neft.generation import decoding
from neft.models import runtime
from neft.storage.files import read_rows

LIMIT = 24


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    """The tiny model with weights large enough that different prompts get different answers, of
    different lengths.
    """
    return talkative(runtime.load_model(tiny_model, "float32")[0])


def talkative(network: Any) -> Any:
    """Give a random model weights so large that it doesn't repeat one token whatever the prompt."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3)
    return network.eval()


@pytest.fixture(scope="module")
def prompts(tiny_model: Path, tiny_rows: Path) -> list[list[int]]:
    _, tokenizer = runtime.load_model(tiny_model, "float32")
    task = plugins.load("tasks", "translation")
    return [
        encode.prompt_ids(tokenizer, task.messages(row, tuned.task()))
        for row in read_rows(tiny_rows)[:24]
    ]


@pytest.fixture(scope="module")
def stops(model: Any, prompts: list[list[int]]) -> frozenset[int]:
    """End tokens so frequent that most answers end, each after another number of tokens."""
    free = decoding.greedy(model, prompts, {384}, LIMIT)
    return frozenset(answer.tokens[8] for answer in free[:4])


def by_hand(model: Any, prompt: list[int], stops: frozenset[int], limit: int) -> decoding.Answer:
    """One prompt, no batch, no padding, no cache."""
    tokens: list[int] = []
    for _ in range(limit):
        with torch.no_grad():
            token = int(model(torch.tensor([prompt + tokens])).logits[0, -1].argmax())
        if token in stops:
            return decoding.Answer(tokens, True)
        tokens.append(token)
    return decoding.Answer(tokens, False)


def test_answers_are_those_of_one_prompt_at_a_time_without_cache(
    model: Any, prompts: list[list[int]], stops: frozenset[int]
):
    expected = [by_hand(model, prompt, stops, LIMIT) for prompt in prompts]
    assert decoding.greedy(model, prompts, stops, LIMIT) == expected
    assert len({len(answer.tokens) for answer in expected}) > 3, (
        "answers must differ in length, or shrinking is not tested"
    )


@pytest.mark.parametrize("batch_size", [1, 5, 24])
def test_answers_do_not_depend_on_batch_size_or_order(
    batch_size: int, model: Any, prompts: list[list[int]], stops: frozenset[int], tmp_path: Path
):
    expected = decoding.greedy(model, prompts, stops, LIMIT)
    options: dict[str, Any] = {"limit": LIMIT, "batch_size": batch_size, "identity": {}}
    forward, _ = decoding.generate(model, prompts, stops, parts=tmp_path / "forward", **options)
    backward, _ = decoding.generate(
        model, prompts[::-1], stops, parts=tmp_path / "backward", **options
    )
    assert forward == expected == backward[::-1]


def test_prompts_with_nothing_in_common_and_of_any_length_are_answered(model: Any):
    prompts = [[5], [6, 7, 8, 9, 10, 11], [12, 13], [5, 6]]
    assert decoding.greedy(model, prompts, {384}, 6) == [
        by_hand(model, prompt, frozenset({384}), 6) for prompt in prompts
    ]
    assert (
        decoding.greedy(model, [[5, 6], [5, 6]], {384}, 6)
        == [by_hand(model, [5, 6], frozenset({384}), 6)] * 2
    )


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
def test_other_architectures_are_answered_as_one_by_one(name: str, prompts: list[list[int]]):
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
    expected = [by_hand(model, prompt, frozenset({384}), 6) for prompt in prompts[:6]]
    assert decoding.greedy(model, prompts[:6], {384}, 6) == expected
    assert len({tuple(answer.tokens) for answer in expected}) > 1


def test_an_answer_that_is_finished_costs_nothing_more(
    model: Any, prompts: list[list[int]], stops: frozenset[int]
):
    rows: list[int] = []
    handle = model.lm_head.register_forward_hook(
        lambda module, args, out: rows.append(out.shape[0])
    )
    answers = decoding.greedy(model, prompts, stops, LIMIT)
    handle.remove()
    read = [len(answer.tokens) + answer.finished for answer in answers]
    expected = [sum(tokens > step for tokens in read) for step in range(max(read))]
    assert rows == [1, *expected], (
        "one row for what all prompts begin with, then a row for every answer that goes on"
    )


def test_finished_batches_are_read_and_not_generated_again(
    model: Any, prompts: list[list[int]], stops: frozenset[int], tmp_path: Path
):
    options: dict[str, Any] = {"limit": LIMIT, "batch_size": 5, "parts": tmp_path}
    expected, _ = decoding.generate(model, prompts, stops, identity={"model": 1}, **options)
    other, _ = decoding.generate(model, prompts, frozenset(), identity={"model": 2}, **options)
    again, _ = decoding.generate(None, prompts, stops, identity={"model": 1}, **options)  # type: ignore[arg-type]
    assert again == expected != other
    decoding.discard(tmp_path)
    assert not tmp_path.exists()
