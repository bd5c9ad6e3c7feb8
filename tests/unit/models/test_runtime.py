from pathlib import Path

import pytest
import torch
from torch import nn

from neft.models import runtime

CPU = torch.device("cpu")


def test_auto_trains_in_the_format_that_the_hardware_multiplies():
    expected = "bfloat16" if runtime.multiplies_bfloat16(CPU) else "float32"
    assert runtime.training_precision("auto", CPU) == expected
    assert runtime.training_precision("float32", CPU) == "float32"
    assert runtime.training_precision("bfloat16", CPU) == "bfloat16"


@pytest.mark.parametrize("tied", [True, False])
def test_frozen_weights_in_bfloat16_give_the_same_bits_as_autocast_alone(
    tied: bool, tmp_path: Path
):
    import tiny

    folder = tiny.make_tiny_model(tmp_path / "model", tied=tied)
    ids = torch.randint(3, 300, (2, 9), generator=torch.Generator().manual_seed(0))
    plain, stored = (
        runtime.load_model(folder, "float32")[0].requires_grad_(False) for _ in range(2)
    )
    runtime.store_frozen_weights(stored, "bfloat16")
    with runtime.autocast("bfloat16", CPU):
        assert torch.equal(plain(ids).logits, stored(ids).logits)
    assert stored.model.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16
    assert stored.model.embed_tokens.weight.dtype == stored.model.norm.weight.dtype == torch.float32
    assert (stored.lm_head.weight is stored.model.embed_tokens.weight) == tied


def test_trained_weights_stay_float32():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[0].requires_grad_(False)
    runtime.store_frozen_weights(model, "bfloat16")
    assert [layer.weight.dtype for layer in model] == [torch.bfloat16, torch.float32]


def test_short_rows_in_bfloat16_on_a_cpu_use_plain_attention(tiny_model: Path):
    names = {}
    for precision, longest in (("bfloat16", 60), ("bfloat16", 2000), ("float32", 60)):
        model = runtime.load_model(tiny_model, "float32")[0]
        runtime.choose_attention(model, precision, CPU, longest)
        names[precision, longest] = model.config._attn_implementation
    assert names == {("bfloat16", 60): "eager", ("bfloat16", 2000): "sdpa", ("float32", 60): "sdpa"}


def test_peak_memory_is_in_bytes():
    before = runtime.peak_memory_bytes(CPU)
    block = torch.ones(200 * 2**20, dtype=torch.uint8)
    assert runtime.peak_memory_bytes(CPU) >= max(before, len(block))


def test_versions_name_what_decides_a_result():
    assert {"python", "torch", "transformers", "safetensors"} <= runtime.versions().keys()
