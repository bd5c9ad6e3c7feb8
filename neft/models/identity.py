"""Which base model this is: a hash that says whether a mask or a delta belongs to these weights.

The hash is over every parameter's name and shape and a sample of its values, not over files: a
bfloat16 checkpoint, the same sharded, and the same loaded as float32 are one base model; any
fine-tuned version of it is another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

# 16 stretches of 64 values, spread evenly: a stretch is one read, so that a 7B model costs some 20
# MB and not every page.
STRETCHES = 16
WIDTH = 64

Read = Callable[[int, int], Tensor]  # (first, count) -> elements of the flattened tensor


def base_hash(source: str | Path | nn.Module, trust_remote_code: bool = False) -> str:
    """SHA-256 in hexadecimal over names, shapes and about 1,024 values (as float32) of each
    parameter; tied ones count once.

    source: a Hugging Face directory (safetensors, sharded or not) or a loaded model; both give the
    same hash unless the model was loaded in a narrower dtype than it is stored in.
    trust_remote_code: as for `Checkpoint`. Raises NeftError if the directory isn't one.
    """
    state = hashlib.sha256()
    if isinstance(source, nn.Module):
        for name, parameter in sorted(source.named_parameters()):
            _add(
                state,
                name,
                tuple(parameter.shape),
                partial(_stretch, parameter.detach().reshape(-1)),
            )
    else:
        from neft.models.checkpoint import Checkpoint

        for name, stored in Checkpoint(source, trust_remote_code).parameters().items():
            _add(state, name, stored.shape, stored.read)
    return state.hexdigest()


def _stretch(flat: Tensor, first: int, count: int) -> Tensor:
    return flat[first : first + count]


def _add(state: hashlib._Hash, name: str, shape: tuple[int, ...], read: Read) -> None:
    """Put one parameter into the hash."""
    state.update(f"{name} {list(shape)}\n".encode())
    size = int(torch.Size(shape).numel())
    if size <= STRETCHES * WIDTH:
        parts = [read(0, size)]
    else:
        parts = [read(i * (size - WIDTH) // (STRETCHES - 1), WIDTH) for i in range(STRETCHES)]
    state.update(torch.cat(parts).float().cpu().numpy().astype("<f4").tobytes())
