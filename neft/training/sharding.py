"""Full fine-tuning on several ranks: each holds a part of every weight, of its gradient and of the
optimizer's state (FSDP2).

What is written to disk is whole, and the same whatever the number of ranks.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from neft.core import neurons
from neft.models import runtime


def shard(model: Any, precision: str, device: torch.device) -> Any:
    """A copy of `model` whose weights are spread over the ranks, on `device`; the model itself is
    left without its numbers.

    It computes what a single process does: matrices are gathered in the format of the products, to
    which autocast would cast them anyway, all else in float32. Needs torch.distributed to be
    started, and all ranks to call it with the same model.
    """
    # The copy starts with the model's own memory; sharding takes each rank's part out of it.
    shared = {id(p): nn.Parameter(p.detach(), p.requires_grad) for p in model.parameters()}
    sharded = copy.deepcopy(model, shared)
    mesh = init_device_mesh(device.type, (runtime.process_count(),))
    dtype = None if precision == "float32" else runtime.DTYPES[precision]
    matrices = MixedPrecisionPolicy(
        param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    # transformers' word for the blocks of a model.
    blocks = [m for m in sharded.modules() if type(m).__name__ in (sharded._no_split_modules or ())]
    for block in blocks:
        linear = [
            m for m in block.modules() if isinstance(m, nn.Linear) or neurons.is_transposed(m)
        ]
        fully_shard(linear, mesh=mesh, mp_policy=matrices)
        fully_shard(block, mesh=mesh)
    # By default what is left, embeddings and head, would stay whole after an evaluation, and be
    # found so by a checkpoint.
    fully_shard(sharded, mesh=mesh, reshard_after_forward=True)
    # Tells the Trainer that it is neither to move the model nor to wrap it for several processes.
    sharded._is_distributed_loading_by_transformers = True
    for parameter in model.parameters():
        parameter.data = torch.empty(0)
    return sharded


def unshard(sharded: Any, model: Any) -> None:
    """Put the weights of `sharded` as they are now back into `model`, which it was made of: on the
    CPU, and on the first rank only.
    """
    tensors = whole({name: p.detach() for name, p in sharded.named_parameters()})
    for name, tensor in tensors.items():
        model.get_parameter(name).data = tensor


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gathers sharded tensors on the first rank's CPU; other ranks get none. A tensor that is not
    sharded stays as it is.

    All ranks must call it, with the same names in the same order.
    """
    found = {}
    for name, tensor in tensors.items():
        full = tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor
        if runtime.rank() == 0:
            found[name] = full
    return found


def like(tensor: Tensor, other: Tensor) -> Tensor:
    """Returns this rank's shard of a whole `tensor` where `other` is sharded, else the tensor
    itself.
    """
    if (
        not isinstance(other, DTensor) or tensor.shape != other.shape
    ):  # the optimizer's count of steps is kept by every rank
        return tensor
    return distribute_tensor(
        tensor.to(other.device), other.device_mesh, other.placements, src_data_rank=None
    )
