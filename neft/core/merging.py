"""Deltas and model directories: writing a delta into a copy of one, and finding or measuring what
parts two.

Reads   config.json, safetensors (sharded or not), tokenizer
Writes  the same files, so that transformers loads the result like the base
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from neft.core.delta import Delta, NeuronDelta, TensorDelta
from neft.errors import NeftError
from neft.models import identity
from neft.models.checkpoint import Checkpoint
from neft.storage import folders

# What a model directory may hold beside its weights. Everything else stays behind: weights in other
# formats would still be the base's, and a loader that prefers them would silently use those.
COMPANIONS = (
    "config.json",
    "generation_config.json",
    "*processor_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "chat_template.json",
    "*.jinja",
    "additional_chat_templates/*.jinja",
    "*.py",
    "LICEN[CS]E*",
    "NOTICE*",
    "README*",
    "USE_POLICY*",
)


class Change(NamedTuple):
    """What a delta does to one parameter: numbers that differ, Frobenius norms of the change and
    the base, largest change.
    """

    moved: int
    norm: float
    base_norm: float
    largest: float


def merge(base_dir: str | Path, delta: Delta, out_dir: str | Path, replace: bool = False) -> None:
    """Write a Hugging Face directory of the base with the delta in it: same files, shards, dtypes;
    one shard in memory.

    The directory appears when it is whole. A tied weight that the base saved twice is changed in
    both places. Raises NeftError if the delta belongs to another model, or `out_dir` isn't empty
    and isn't to be replaced.
    """
    base_dir, out_dir = Path(base_dir), Path(out_dir)
    check_target(out_dir, base_dir, "config.json", replace)
    delta.check_base(identity.base_hash(base_dir), str(base_dir))
    checkpoint = Checkpoint(base_dir)
    change_of = {
        key: change for keys, change in _changes(checkpoint, delta).values() for key in keys
    }
    with folders.atomic(out_dir) as folder:
        for pattern in COMPANIONS:
            for file in base_dir.glob(pattern):
                (folder / file.relative_to(base_dir)).parent.mkdir(exist_ok=True)
                shutil.copyfile(file, folder / file.relative_to(base_dir))
        if checkpoint.index:
            shutil.copyfile(checkpoint.index, folder / checkpoint.index.name)
        for file in checkpoint.files:
            _copy_shard(checkpoint, file, folder / file.name, change_of)


def diff(base_dir: str | Path, tuned_dir: str | Path) -> Delta:
    """The smallest delta that makes the base bit for bit the tuned model.

    Vectors along the better of a matrix's two dimensions ("neurons"); whole tensors if a changed
    one is no matrix. Two tensors in memory at a time. Raises NeftError if the directories differ in
    names, shapes or dtypes.
    """
    base, tuned = Checkpoint(base_dir).parameters(), Checkpoint(tuned_dir).parameters()
    if base.keys() != tuned.keys():
        raise NeftError(
            f"{base_dir} and {tuned_dir} differ in parameters:"
            f" {sorted(base.keys() ^ tuned.keys())[:3]}"
        )
    vectors: dict[str, Tensor] = {}
    changed = []
    for name, stored in base.items():
        other = tuned[name]
        if (stored.shape, stored.dtype) != (other.shape, other.dtype):
            raise NeftError(
                f"{name}: {stored.dtype} {list(stored.shape)} and {other.dtype} {list(other.shape)}"
                " can't be compared"
            )
        values = other.read()
        # Bytes, so that a NaN equals itself and -0.0 differs from 0.0.
        differs = (
            (stored.read().view(torch.uint8) != values.view(torch.uint8))
            .view(*stored.shape, -1)
            .any(-1)
        )
        if not differs.any():
            continue
        changed.append(name)
        if values.ndim == 2:
            by_row, by_column = differs.any(1), differs.any(0)
            rows_cost, columns_cost = (
                by_row.sum() * values.shape[1],
                by_column.sum() * values.shape[0],
            )
            dim, flags = (0, by_row) if rows_cost <= columns_cost else (1, by_column)
            index = flags.nonzero().flatten()
            picked = values.index_select(dim, index)
            vectors[f"{name}:{dim}.index"] = index.to(torch.int32)
            vectors[f"{name}:{dim}.values"] = picked.t().contiguous() if dim else picked
    metadata = {"base_hash": identity.base_hash(base_dir)}
    if all(len(base[name].shape) == 2 for name in changed):
        return NeuronDelta(vectors, metadata)
    return TensorDelta({name: tuned[name].read() for name in changed}, metadata)


def measure(base_dir: str | Path, delta: Delta) -> dict[str, Change]:
    """How far each parameter that the delta holds moves, in the base's storage dtype; two tensors
    in memory at a time.

    Raises NeftError if the delta belongs to another model.
    """
    delta.check_base(identity.base_hash(base_dir), str(base_dir))
    checkpoint = Checkpoint(base_dir)
    result = {}
    for name, (keys, change) in _changes(checkpoint, delta).items():
        before = checkpoint.tensors[keys[0]].read()
        after = before.clone()
        change(after)
        wide = torch.promote_types(before.dtype, torch.float32)
        difference = after.to(wide) - before.to(wide)
        result[name] = Change(
            moved=int(difference.count_nonzero()),
            norm=float(torch.linalg.vector_norm(difference)),
            base_norm=float(torch.linalg.vector_norm(before.to(wide))),
            largest=float(difference.abs().max()) if difference.numel() else 0.0,
        )
    return result


def check_target(out_dir: Path, base_dir: Path, marker: str, replace: bool) -> None:
    """Raise NeftError unless the folder `out_dir` may be written: nothing is there, or what may be
    replaced.

    marker: the file that tells a folder of the kind to be written from one that must not be lost.
    """
    if out_dir.resolve() in (base_dir.resolve(), *base_dir.resolve().parents):
        raise NeftError(f"{out_dir}: is or contains the base model, which is never overwritten")
    if not out_dir.exists() or (out_dir.is_dir() and not any(out_dir.iterdir())):
        return
    if not replace:
        raise NeftError(f"{out_dir}: exists and is not empty; replace=True (--force) replaces it")
    if not (out_dir / marker).is_file():
        raise NeftError(
            f"{out_dir}: not replaced, because it has no {marker}: it is not what would be written"
            " there"
        )


def _changes(
    checkpoint: Checkpoint, delta: Delta
) -> dict[str, tuple[list[str], Callable[[Tensor], None]]]:
    """Per changed parameter its names in the files and what changes it."""
    keys_of, result = checkpoint.keys_of(), {}
    for name, change in delta.changes().items():
        if name not in keys_of:
            raise NeftError(f"delta: {checkpoint.folder} has no parameter {name}")
        result[name] = (keys_of[name], change)
    delta.check_shapes(
        {name: checkpoint.tensors[keys[0]].shape for name, (keys, _) in result.items()},
        str(checkpoint.folder),
    )
    return result


def _copy_shard(
    checkpoint: Checkpoint,
    source: Path,
    target: Path,
    change_of: dict[str, Callable[[Tensor], None]],
) -> None:
    """Write one file of the base with its changes."""
    with safe_open(str(source), framework="pt") as stored:
        metadata = stored.metadata()
    tensors = {
        key: tensor.read() for key, tensor in checkpoint.tensors.items() if tensor.file == source
    }
    for key in change_of.keys() & tensors.keys():
        change_of[key](tensors[key])
    save_file(tensors, target, metadata=metadata)
    target.chmod(
        (target.parent / "config.json").stat().st_mode
    )  # safetensors writes files that only their owner may read
