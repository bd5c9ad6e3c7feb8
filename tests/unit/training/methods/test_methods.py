"""What every method must keep: what it trains, and that its delta is the model that was trained."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import tuned
from neft import plugins
from neft.core.delta import Delta
from neft.core.tuned import apply
from neft.errors import NeftError
from neft.models import identity, runtime


def prepared(tiny_model: Path, kind: str, **options: Any) -> Any:
    torch.manual_seed(1)
    model = runtime.load_model(tiny_model, "float32")[0]
    mask = tuned.make_mask(tiny_model) if kind == "neft" else None
    return plugins.load("methods", kind).prepare(model, tuned.method(kind, **options), mask)


def trained_names(model: Any) -> list[str]:
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def few_steps(model: Any) -> Any:
    """Move what is trainable, far enough to be seen."""
    ids = torch.randint(3, 300, (4, 12), generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(5):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(3, 60)[None]).logits


@pytest.mark.parametrize("kind", tuned.SETTINGS)
def test_base_plus_delta_gives_the_logits_of_the_trained_model(
    kind: str, tiny_model: Path, tmp_path: Path
):
    model = few_steps(prepared(tiny_model, kind))
    base_hash = identity.base_hash(tiny_model)
    plugins.load("methods", kind).extract(model, base_hash).save(tmp_path / "delta.safetensors")
    restored = runtime.load_model(tiny_model, "float32")[0].eval()
    untuned = logits(restored)
    apply(restored, Delta.load(tmp_path / "delta.safetensors"), base_hash)
    assert not torch.allclose(untuned, logits(model), atol=1e-2)
    # LoRA computes W x + B A x and the merged model (W + B A) x: equal up to rounding. The others
    # are the same numbers.
    torch.testing.assert_close(
        logits(restored), logits(model), **({} if kind == "lora" else {"rtol": 0, "atol": 0})
    )


def test_full_trains_everything(tiny_model: Path):
    assert len(trained_names(prepared(tiny_model, "full"))) == len(
        list(runtime.load_model(tiny_model, "float32")[0].parameters())
    )


def test_embed_trains_the_embedding_alone_and_a_tied_head_moves_along(tiny_model: Path):
    model = few_steps(prepared(tiny_model, "embed"))
    assert trained_names(model) == ["model.embed_tokens.weight"]
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_the_delta_of_embed_is_one_tensor_and_applying_it_keeps_the_tie(tiny_model: Path):
    model = few_steps(prepared(tiny_model, "embed"))
    change = plugins.load("methods", "embed").extract(model, identity.base_hash(tiny_model))
    assert list(change.tensors) == ["model.embed_tokens.weight"]
    restored = runtime.load_model(tiny_model, "float32")[0]
    apply(restored, change)
    assert restored.lm_head.weight is restored.model.embed_tokens.weight
    assert torch.equal(restored.lm_head.weight, model.lm_head.weight)


def test_embed_leaves_a_head_of_its_own_alone(tmp_path: Path):
    import tiny

    folder = tiny.make_tiny_model(tmp_path / "untied", tied=False)
    model = few_steps(prepared(folder, "embed"))
    base = runtime.load_model(folder, "float32")[0]
    assert torch.equal(model.lm_head.weight, base.lm_head.weight)
    assert not torch.equal(model.model.embed_tokens.weight, base.model.embed_tokens.weight)


def test_in_out_trains_the_up_and_down_projections(tiny_model: Path):
    names = trained_names(prepared(tiny_model, "in_out"))
    assert names == [
        f"model.layers.{layer}.mlp.{way}_proj.weight"
        for layer in range(2)
        for way in ("up", "down")
    ]


def test_in_out_knows_the_names_of_gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=4))
    names = trained_names(
        plugins.load("methods", "in_out").prepare(model, tuned.method("in_out"), None)
    )
    assert names == ["transformer.h.0.mlp.c_fc.weight", "transformer.h.0.mlp.c_proj.weight"]


def test_in_out_refuses_a_matrix_that_holds_the_gate_too():
    from transformers import Phi3Config, Phi3ForCausalLM

    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
    }
    model = Phi3ForCausalLM(
        Phi3Config(vocab_size=64, **sizes, num_key_value_heads=2, pad_token_id=0)
    )
    with pytest.raises(NeftError, match=r"gate_up_proj holds up_proj and more.*method neft"):
        plugins.load("methods", "in_out").prepare(model, tuned.method("in_out"), None)


def test_lora_adapts_all_linear_layers_but_the_head(tiny_model: Path):
    names = trained_names(prepared(tiny_model, "lora"))
    layers = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in names}
    assert layers == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert all(".lora_" in name for name in names)


@pytest.mark.parametrize(
    "options, scale", [({}, 2), ({"alpha": 4}, 1), ({"alpha": 2, "rank": 8}, 0.25)]
)
def test_lora_adds_its_product_times_alpha_over_rank(
    options: dict[str, Any], scale: float, tiny_model: Path
):
    model = few_steps(prepared(tiny_model, "lora", **options))
    layer = model.base_model.model.model.layers[0].mlp.up_proj
    product = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    restored = runtime.load_model(tiny_model, "float32")[0]
    apply(restored, plugins.load("methods", "lora").extract(model, identity.base_hash(tiny_model)))
    torch.testing.assert_close(
        restored.model.layers[0].mlp.up_proj.weight, layer.base_layer.weight + scale * product
    )


def test_lora_adapts_the_layers_it_is_told_to(tiny_model: Path):
    names = trained_names(prepared(tiny_model, "lora", targets=["q_proj"]))
    assert names and all(".q_proj." in name for name in names)


def test_neft_trains_the_neurons_of_its_mask(tiny_model: Path):
    model = prepared(tiny_model, "neft")
    assert (
        sum(p.numel() for p in model.parameters() if p.requires_grad)
        == tuned.make_mask(tiny_model).parameters
    )


def test_neft_without_a_mask_is_an_error(tiny_model: Path):
    with pytest.raises(NeftError, match="method neft: needs a mask"):
        plugins.load("methods", "neft").prepare(
            runtime.load_model(tiny_model, "float32")[0], tuned.method("neft"), None
        )


def test_relative_steps_turn_all_neurons_alike(tiny_model: Path):
    """By AdamW's first step, which moves every weight by the rate alone."""
    spread = {}
    for relative in (False, True):
        model = prepared(tiny_model, "neft", relative_step=relative)
        trained = [p for p in model.parameters() if p.requires_grad]
        before = [p.detach().clone() for p in trained]
        ids = torch.arange(3, 60)[None]
        optimizer = torch.optim.AdamW(trained, lr=1e-3, eps=1e-20, weight_decay=0.0)
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        turned = torch.cat(
            [
                (now - then).norm(dim=1) / then.norm(dim=1)
                for now, then in zip(trained, before, strict=True)
            ]
        )
        spread[relative] = float((turned.std() / turned.mean()).detach())
    assert spread[True] < 0.2 * spread[False], spread
