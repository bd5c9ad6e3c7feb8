"""A delta as a PEFT adapter, for tools that load LoRA.

What neurons change in a matrix, W' − W, is zero but for k rows or columns, so it is exactly a
product B·A of rank k: for rows J, B picks them and A holds (W' − W)[J]; for columns J, B holds (W'
− W)[:, J] and A picks them.

Reads   the base's config.json and safetensors, one matrix at a time
Writes  adapter_config.json, adapter_model.safetensors (float32: the difference of two bfloat16 numbers is none itself)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from neft.core import neurons
from neft.core.delta import Delta, LoraDelta, NeuronDelta, adapter_config
from neft.core.merging import check_target
from neft.errors import NeftError
from neft.models import identity
from neft.models.checkpoint import Checkpoint
from neft.storage import folders
from neft.storage.files import write_json

NONE = torch.empty(0, dtype=torch.int64)


def to_lora(
    base_dir: str | Path,
    delta: Delta,
    out_dir: str | Path,
    rank: int | None = None,
    replace: bool = False,
) -> dict[str, int]:
    """Write the delta as an adapter that `PeftModel.from_pretrained(base, out_dir)` loads; returns
    the rank of every module.

    A module's rank is its number of trained neurons, the scale is 1. rank: the largest that is
    allowed (some servers have a limit); none by default. A delta of kind "lora" is written as it
    was trained. Raises NeftError if the delta needs a larger rank, belongs to another model or
    changes anything but linear layers.
    """
    base_dir, out_dir = Path(base_dir), Path(out_dir)
    check_target(out_dir, base_dir, "adapter_config.json", replace)
    delta.check_base(identity.base_hash(base_dir), str(base_dir))
    if isinstance(delta, LoraDelta):
        tensors, config = delta.tensors, delta.config
    else:
        tensors, config = _adapter(Checkpoint(base_dir), delta, rank)
    ranks = {
        key.split(".lora_A.")[0]: tensor.shape[0]
        for key, tensor in tensors.items()
        if ".lora_A." in key
    }
    _check_ranks(ranks, rank)
    with folders.atomic(out_dir) as folder:
        write_json(folder / "adapter_config.json", config)
        weights = folder / "adapter_model.safetensors"
        save_file(
            {key: tensor.contiguous() for key, tensor in tensors.items()},
            weights,
            metadata={"format": "pt"},
        )
        weights.chmod(
            (folder / "adapter_config.json").stat().st_mode
        )  # safetensors lets only the owner read
    return {module.removeprefix("base_model.model."): size for module, size in ranks.items()}


def _adapter(
    checkpoint: Checkpoint, delta: Delta, rank: int | None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and config of the adapter for a delta of neurons."""
    from peft import LoraConfig

    if not isinstance(delta, NeuronDelta):
        raise NeftError(
            "export: this delta holds whole tensors, which a LoRA adapter can't; merge it instead"
        )
    layers = _linear_layers(checkpoint, delta)
    ranks = dict.fromkeys(layers, 0)
    for name, _, index, _ in delta.vectors():
        ranks[name.removesuffix(".weight")] += len(index)
    _check_ranks(ranks, rank)
    largest = max(ranks.values())
    smaller = {module: size for module, size in ranks.items() if size < largest}
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=largest,
        lora_alpha=largest,
        rank_pattern=smaller,
        alpha_pattern=smaller,
        target_modules=list(ranks),
        fan_in_fan_out=any(neurons.is_transposed(layer) for layer in layers.values()),
        inference_mode=True,
    )
    tensors, stored, change_of = {}, checkpoint.parameters(), delta.changes()
    delta.check_shapes(
        {f"{module}.weight": stored[f"{module}.weight"].shape for module in layers},
        str(checkpoint.folder),
    )
    for module, layer in layers.items():
        name, transposed = f"{module}.weight", neurons.is_transposed(layer)
        # Per dimension of [out, in] the trained neurons; GPT-2 stores its weights the other way
        # round.
        picks = {
            int((dim == 0) == transposed): index.long()
            for key, dim, index, _ in delta.vectors()
            if key == name
        }
        change = _change(stored[name].read(), change_of[name])
        a, b = _factors(
            change.t() if transposed else change, *(picks.get(dim, NONE) for dim in (0, 1))
        )
        tensors[f"base_model.model.{module}.lora_A.weight"] = a
        tensors[f"base_model.model.{module}.lora_B.weight"] = b
    return tensors, adapter_config(config)


def _linear_layers(checkpoint: Checkpoint, delta: Delta) -> dict[str, nn.Module]:
    """The modules that the delta changes, by name, all linear."""
    parameters, layers = checkpoint.keys_of(), {}
    for name in delta.changes():
        if name not in parameters:
            raise NeftError(f"delta: {checkpoint.folder} has no parameter {name}")
        module = name.removesuffix(".weight")
        layers[module] = checkpoint.skeleton.get_submodule(module)
        if not (isinstance(layers[module], nn.Linear) or neurons.is_transposed(layers[module])):
            raise NeftError(
                f"export: {name} is no linear layer's weight, a LoRA adapter can't hold it; merge"
                " the delta instead"
            )
    return layers


def _change(weight: Tensor, change: Callable[[Tensor], None]) -> Tensor:
    """W' − W in float32 (float64 if W is)."""
    tuned = weight.clone()
    change(tuned)
    wide = torch.promote_types(weight.dtype, torch.float32)
    return tuned.to(wide) - weight.to(wide)


def _factors(change: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """A [rank, in] and B [out, rank] with B·A = change [out, in], which is zero but for these rows
    and columns.
    """
    out, width = change.shape
    a = torch.cat([change[rows], _one_hot(columns, width, change.dtype)])
    rest = change.index_fill(0, rows, 0)  # where both cross, the row has it
    b = torch.cat([_one_hot(rows, out, change.dtype).t(), rest[:, columns]], dim=1)
    return a, b


def _one_hot(index: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """[len(index), size]: a one in each row."""
    return torch.zeros(len(index), size, dtype=dtype).scatter_(1, index[:, None], 1)


def _check_ranks(ranks: Mapping[str, int], rank: int | None) -> None:
    if not ranks:
        raise NeftError("export: this delta changes nothing")
    module = max(ranks, key=lambda name: ranks[name])
    if rank is not None and ranks[module] > rank:
        raise NeftError(
            f"export: rank {rank} is too small: {module} has {ranks[module]} trained neurons and"
            " needs that rank"
        )
