"""The safetensors files of a Hugging Face model directory, read tensor by tensor and never as a
whole.

Reads   config.json, model.safetensors or model.safetensors.index.json and its shards

A plain `pread` into memory of our own keeps what a process holds at the tensors at hand; a memory
map counts every page that was touched.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neft.errors import NeftError
from neft.storage.files import parse_json, read_json

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Stored:
    """Where a tensor's bytes lie: `start` is counted from the beginning of `file`."""

    file: Path
    start: int
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def numel(self) -> int:
        """Numbers in the tensor."""
        return int(torch.Size(self.shape).numel())

    def read(self, first: int = 0, count: int | None = None) -> Tensor:
        """Elements `first … first + count` of the flattened tensor, or the whole of it in its
        shape.
        """
        if count is None:
            return self.read(0, self.numel).view(self.shape)
        result = torch.empty(count, dtype=self.dtype)
        self.read_into(result, first)
        return result

    def read_into(self, target: Tensor, first: int = 0) -> None:
        """Fill `target` (contiguous, of the stored dtype) with the elements from `first` on. Raises
        NeftError if too short.
        """
        with self.file.open("rb", buffering=0) as file:
            self._fill(target, first, file)

    def blocks(self, first: int, count: int, size: int, pinned: bool = False) -> Iterator[Tensor]:
        """Elements `first … first + count`, at most `size` at a time; each block lies where the one
        before it lay.

        Fresh memory costs more than the reading: the kernel clears every page of it. pinned: in
        memory that a GPU can read.
        """
        buffer = torch.empty(min(size, count), dtype=self.dtype, pin_memory=pinned)
        with self.file.open("rb", buffering=0) as file:
            for start in range(first, first + count, size):
                block = buffer[: first + count - start]
                self._fill(block, start, file)
                yield block

    def _fill(self, target: Tensor, first: int, file: FileIO) -> None:
        buffer = memoryview(target.view(-1).view(torch.uint8).numpy().data)
        offset, done = self.start + first * target.element_size(), 0
        while done < len(buffer):  # one call moves at most 2 GiB
            read = os.preadv(file.fileno(), [buffer[done:]], offset + done)
            if read == 0:
                raise NeftError(
                    f"{self.file}: truncated: ends {len(buffer) - done:,} bytes before the end of a"
                    " tensor"
                )
            done += read


class Checkpoint:
    """The tensors of a model directory by name; `index` is the file that says which shard has
    which, if there are shards.
    """

    def __init__(self, folder: str | Path, trust_remote_code: bool = False) -> None:
        """Read the headers. Raises NeftError, naming the file, if one is missing or not
        safetensors.

        trust_remote_code: let the directory's own Python code, if its architecture needs any, build
        the `skeleton`.
        """
        self.folder = Path(folder)
        self.trust_remote_code = trust_remote_code
        index, single = self.folder / INDEX, self.folder / "model.safetensors"
        # Of both, transformers reads the single file.
        self.index = index if index.exists() and not single.exists() else None
        self.files = [
            self.folder / name for name in (shards(index) if self.index else [single.name])
        ]
        self.tensors: dict[str, Stored] = {}
        for file in self.files:
            self.tensors.update(_header(file))

    @cached_property
    def skeleton(self) -> Any:
        """The model of this directory without weights (on the meta device): names, shapes, ties and
        classes of its modules.
        """
        from transformers import AutoConfig, AutoModelForCausalLM

        trust = self.trust_remote_code
        try:
            config = AutoConfig.from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=trust
            )
        except (OSError, ValueError) as error:
            raise NeftError(f"{self.folder}: no usable config.json: {error}") from error
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust)  # type: ignore[no-untyped-call]
        model.tie_weights()
        return model

    def parameters(self) -> dict[str, Stored]:
        """The model's parameters in the order of their names, tied ones once; what else is in the
        files is left out.
        """
        return {name: self.tensors[keys[0]] for name, keys in sorted(self.keys_of().items())}

    def keys_of(self) -> dict[str, list[str]]:
        """Per parameter of the model the names that the files have for it: several where a tied
        weight was saved twice.
        """
        first: dict[int, str] = {}
        keys: dict[str, list[str]] = {}
        model = self.skeleton
        prefix = f"{model.base_model_prefix}."
        for name, parameter in model.named_parameters(remove_duplicate=False):
            name_of_all = first.setdefault(id(parameter), name)
            # Some files, GPT-2's for one, were saved from the model without its head, and their
            # names lack its prefix.
            known = [key for key in (name, name.removeprefix(prefix)) if key in self.tensors]
            keys.setdefault(name_of_all, []).extend(known[:1])
        missing = [name for name, found in keys.items() if not found]
        if missing:
            raise NeftError(
                f"{self.folder}: no tensor for the model's parameter {missing[0]} ({len(missing)}"
                " missing)"
            )
        return keys

    def dtype(self) -> str:
        """The floating dtype that most numbers are stored in, such as "bfloat16"."""
        sizes: dict[torch.dtype, int] = {}
        for stored in self.tensors.values():
            sizes[stored.dtype] = sizes.get(stored.dtype, 0) + stored.numel
        return str(max(sizes, key=lambda dtype: sizes[dtype])).removeprefix("torch.")


def shards(index: Path) -> list[str]:
    """Names of the files that an index spreads a model over. Raises NeftError if one lies outside
    of its folder.
    """
    content = read_json(index)
    names = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(names, dict) or not names:
        raise NeftError(f"{index}: no index of a model's weights: it has no weight_map")
    for name in names.values():
        if (
            not isinstance(name, str)
            or not name.endswith(".safetensors")
            or Path(name).name != name
        ):
            raise NeftError(
                f"{index}: refused, it names {name!r}, which is no .safetensors file of its own"
                " folder"
            )
    return sorted(set(names.values()))


def _header(file: Path) -> dict[str, Stored]:
    """The tensors that a safetensors file says it has."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= size - 8:
                raise ValueError("its header is longer than the file")
            header = parse_json(stream.read(length).decode("utf-8"))
        header.pop("__metadata__", None)
        tensors = {}
        for name, entry in header.items():
            begin, end = map(operator.index, entry["data_offsets"])
            shape = tuple(map(operator.index, entry["shape"]))
            stored = Stored(file, 8 + length + begin, shape, DTYPES[entry["dtype"]])
            bytes_ = math.prod(shape) * stored.dtype.itemsize
            if min(0, begin, *shape) < 0 or 8 + length + end > size or end - begin != bytes_:
                raise ValueError(f"{name} lies outside the file")
            tensors[name] = stored
    except OSError as error:
        raise NeftError(f"{file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NeftError(f"{file}: not a whole safetensors file: {error}") from error
    return tensors
