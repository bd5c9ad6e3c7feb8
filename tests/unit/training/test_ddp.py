"""Data-parallel training of attached neurons: two processes with half a batch each are one process
with the whole.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

import neft
from neft.core import layers
from neft.core.mask import NeuronMask

INDICES = {
    "model.layers.0.mlp.up_proj": [0, 3, 40],
    "model.layers.0.self_attn.o_proj": [5],
    "model.layers.1.mlp.down_proj": [1, 2, 63],
    "model.layers.1.mlp.down_proj:row": [0, 9],
}
STEPS, ROWS = 5, 4


def attached_llama(seed: int) -> tuple[LlamaForCausalLM, list[nn.Parameter]]:
    torch.manual_seed(seed)
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=97,
    )
    model = LlamaForCausalLM(config)
    return model, neft.attach(model, NeuronMask.from_indices(INDICES, model))


def train(model: nn.Module, parameters: list[nn.Parameter], part: slice) -> None:
    """A plain loop, with accumulation over two micro-batches whose losses are summed before one
    backward pass.
    """
    optimizer = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0)
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        first, second = torch.randint(0, 97, (2, ROWS, 12), generator=generator)[:, part]
        loss: Tensor = (
            model(input_ids=first, labels=first).loss + model(input_ids=second, labels=second).loss
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 0.5)
        optimizer.step()
        optimizer.zero_grad()


def run_one_of_two(folder: Path) -> None:
    """What each process of the test does."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    # Another seed on each: the dense weights, frozen as they are, must be the first process's.
    model, parameters = attached_llama(seed=rank)
    train(
        nn.parallel.DistributedDataParallel(model),
        parameters,
        slice(rank * ROWS // 2, (rank + 1) * ROWS // 2),
    )
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        folder / f"{rank}.safetensors",
    )
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one_with_twice_the_batch(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        __file__,
        str(tmp_path),
    ]
    environment = os.environ | {
        "PYTHONPATH": str(Path(neft.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
    }
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)

    model, parameters = attached_llama(seed=0)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(model, parameters, slice(0, ROWS))
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(first[name], tensor, rtol=0, atol=1e-5)
        assert (
            not name.endswith("_neurons") or (tensor - start[name]).abs().max() > 0.01
        )  # it did train
    # The dense weights hold the trained values.
    before = {name: tensor.clone() for name, tensor in first.items() if name.endswith(".weight")}
    model.load_state_dict(first)
    for name, layer in layers.attached(model):
        assert torch.equal(layer.weight, before[f"{name}.weight"]), name


if __name__ == "__main__":
    run_one_of_two(Path(sys.argv[1]))
