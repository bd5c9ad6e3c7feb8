"""What a tuning run changed, and nothing else: one safetensors file of a few megabytes.

Three kinds, a class each:
neurons   per weight W `W:dim.index` (int32 [n], ascending) and `W:dim.values` ([n, length]): vectors of W along dimension dim
tensors   whole parameters by name
lora      a PEFT adapter under PEFT's own names; its config is `adapter_config` in the metadata
Metadata  kind, base_hash (of the model it belongs to), and a hash of the content
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn

import torch
from torch import Tensor, nn

from neft.core import layers
from neft.errors import NeftError
from neft.storage import sealed

Change = Callable[[Tensor], None]
"""Changes a parameter's tensor in place."""


class DeltaSize(NamedTuple):
    """How much of one parameter was trained: neurons (0 unless the delta's kind is neurons) and
    single numbers.
    """

    neurons: int
    parameters: int


@dataclass(frozen=True, eq=False)
class Delta(ABC):
    """The changed values and what they belong to; `metadata` has at least base_hash."""

    tensors: dict[str, Tensor]
    metadata: dict[str, Any]

    kind: ClassVar[str]

    @property
    def base_hash(self) -> str:
        """The hash of the base model (`neft.models.identity`)."""
        return str(self.metadata["base_hash"])

    @property
    def parameters(self) -> int:
        """Trained numbers in it."""
        return sum(size.parameters for size in self.sizes().values())

    def save(self, path: str | Path, dtype: torch.dtype | None = None) -> None:
        """Write it atomically, values as `dtype` (the base's storage dtype) or as they are; same
        delta, same bytes.
        """
        kept = {
            name: tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor
            for name, tensor in self.tensors.items()
        }
        sealed.save(path, "delta", kept, {"kind": self.kind, **self.metadata})

    @staticmethod
    def load(path: str | Path) -> Delta:
        """Read one of any kind. Raises NeftError, naming the file, if it is truncated, changed, no
        delta, or holds what no delta can.
        """
        tensors, metadata = sealed.load(path, "delta")
        kind, base_hash = metadata.pop("kind", None), metadata.get("base_hash")
        if not isinstance(kind, str) or kind not in KINDS or not isinstance(base_hash, str):
            raise NeftError(
                f"{path}: not a usable delta: its kind is {kind!r} and its base {base_hash!r}"
            )
        delta = KINDS[kind](tensors, metadata)
        mistake = delta.mistake()
        if mistake:
            raise NeftError(f"{path}: not a usable delta: {mistake}")
        return delta

    def check_base(self, base_hash: str, name: str) -> None:
        """Raise NeftError unless it belongs to the model `name`, which has this hash."""
        if self.base_hash != base_hash:
            raise NeftError(
                "this delta belongs to another base model: it was trained on"
                f" {self.base_hash[:12]}…, {name} is {base_hash[:12]}…"
            )

    @abstractmethod
    def mistake(self) -> str | None:
        """What is wrong with it by itself, whatever the model; None if nothing is."""

    @abstractmethod
    def sizes(self) -> dict[str, DeltaSize]:
        """Per name of a changed parameter how much of it was trained."""

    @abstractmethod
    def check_shapes(self, shapes: Mapping[str, Sequence[int]], name: str) -> None:
        """Raise NeftError unless it fits parameters of these shapes, those of the model `name`."""

    @abstractmethod
    def changes(self) -> dict[str, Change]:
        """Per name of a changed parameter what changes its tensor."""

    def undo(self, former: Mapping[str, Tensor]) -> Delta:
        """The delta that brings back the present values of what this one changes, all by name."""
        return TensorDelta({name: tensor.clone() for name, tensor in former.items()}, self.metadata)


class NeuronDelta(Delta):
    """Rows and columns of weights, by their numbers."""

    kind = "neurons"

    @classmethod
    def of(cls, model: nn.Module, base_hash: str) -> NeuronDelta:
        """The trained neurons of a model with an attached mask, as float32: `save` rounds them to
        the base's format. Raises NeftError if no mask is attached.
        """
        tensors = {}
        for name, layer in layers.attached(model):
            for axis, index in (("row", layer.row_index), ("column", layer.column_index)):
                if len(index):
                    dim = int((axis == "row") == layer.transposed)
                    values = layer.current(axis).to("cpu", torch.float32)
                    tensors[f"{name}.weight:{dim}.index"] = index.to("cpu", torch.int32)
                    tensors[f"{name}.weight:{dim}.values"] = values
        if not tensors:
            raise NeftError(
                "delta: this model has no mask attached; neft.attach(model, mask) comes first"
            )
        return cls(tensors, {"base_hash": base_hash})

    def vectors(self) -> Iterator[tuple[str, int, Tensor, Tensor]]:
        """Each parameter's name, dimension, index and values."""
        for key, index in self.tensors.items():
            if key.endswith(".index"):
                place = key.removesuffix(".index")
                name, _, dim = place.rpartition(":")
                yield name, int(dim), index, self.tensors[f"{place}.values"]

    def mistake(self) -> str | None:
        """Every index is a vector of ascending numbers, its values have a row for each."""
        for key in self.tensors:
            place, _, part = key.rpartition(".")
            index, values = (self.tensors.get(f"{place}.{end}") for end in ("index", "values"))
            known = part in ("index", "values") and place[-2:] in (":0", ":1")
            if not known or index is None or values is None:
                return (
                    f"{key} is no index or values of a weight's dimension 0 or 1, or lacks the"
                    " other of the two"
                )
            vector = index.dtype == torch.int32 and index.ndim == 1
            if not vector or (index.diff() <= 0).any() or (index < 0).any():
                return f"{place}.index must be one vector of ascending int32 numbers"
            if not values.is_floating_point() or values.ndim != 2 or len(values) != len(index):
                return (
                    f"{place}.values is {list(values.shape)}, but must be a matrix with a row for"
                    f" each of {len(index)} numbers"
                )
        return None

    def sizes(self) -> dict[str, DeltaSize]:
        """Neurons and their numbers, by weight."""
        result: dict[str, DeltaSize] = {}
        for name, _, index, values in self.vectors():
            former = result.get(name, DeltaSize(0, 0))
            result[name] = DeltaSize(
                former.neurons + len(index), former.parameters + values.numel()
            )
        return result

    def check_shapes(self, shapes: Mapping[str, Sequence[int]], name: str) -> None:
        """Every neuron is one of the matrix and as long as its neurons."""
        for parameter, dim, index, values in self.vectors():
            shape = shapes[parameter]
            if len(shape) != 2 or (len(index) and int(index[-1]) >= shape[dim]):
                raise NeftError(
                    f"delta: {parameter}:{dim}.index ends with {int(index[-1])}, but {name} has"
                    f" {list(shape)} there"
                )
            needed = [len(index), shape[1 - dim]]
            if list(values.shape) != needed:
                _misfit(f"{parameter}:{dim}.values", values.shape, parameter, shape, name, needed)

    def changes(self) -> dict[str, Change]:
        """Neurons are put in their places."""
        parts: dict[str, list[tuple[int, Tensor, Tensor]]] = {}
        for name, dim, index, values in self.vectors():
            parts.setdefault(name, []).append((dim, index, values))
        return {name: _insertion(vectors) for name, vectors in parts.items()}

    def undo(self, former: Mapping[str, Tensor]) -> Delta:
        """The same neurons with their present values."""
        tensors = {}
        for name, dim, index, _ in self.vectors():
            picked = former[name].index_select(dim, index.to(former[name].device))
            tensors[f"{name}:{dim}.index"] = index
            tensors[f"{name}:{dim}.values"] = picked.t().contiguous() if dim else picked
        return NeuronDelta(tensors, self.metadata)


class TensorDelta(Delta):
    """Whole parameters."""

    kind = "tensors"

    @classmethod
    def of(cls, model: nn.Module, base_hash: str) -> TensorDelta:
        """All trainable parameters of a model."""
        tensors = {
            name: p.detach().cpu().clone()
            for name, p in model.named_parameters()
            if p.requires_grad
        }
        return cls(tensors, {"base_hash": base_hash})

    def mistake(self) -> str | None:
        """Nothing: any tensor may be a parameter."""
        return None

    def sizes(self) -> dict[str, DeltaSize]:
        """All numbers of each parameter."""
        return {name: DeltaSize(0, tensor.numel()) for name, tensor in self.tensors.items()}

    def check_shapes(self, shapes: Mapping[str, Sequence[int]], name: str) -> None:
        """Every tensor has its parameter's shape."""
        for parameter, value in self.tensors.items():
            shape = shapes[parameter]
            if list(value.shape) != list(shape):
                _misfit(parameter, value.shape, parameter, shape, name, shape)

    def changes(self) -> dict[str, Change]:
        """Parameters are replaced."""
        return {name: _replacement(value) for name, value in self.tensors.items()}


class LoraDelta(Delta):
    """A LoRA adapter of the PEFT library; `metadata` has its adapter_config too."""

    kind = "lora"

    @classmethod
    def of(cls, model: Any, base_hash: str) -> LoraDelta:
        """The adapter of a PEFT model."""
        from peft import get_peft_model_state_dict

        adapter = {
            name: tensor.detach().cpu() for name, tensor in get_peft_model_state_dict(model).items()
        }
        config = adapter_config(model.peft_config["default"])
        return cls(adapter, {"base_hash": base_hash, "adapter_config": config})

    @property
    def config(self) -> dict[str, Any]:
        """What PEFT keeps in adapter_config.json."""
        config: dict[str, Any] = self.metadata["adapter_config"]
        return config

    def pairs(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Each adapted module's name, B [out, rank] and A [rank, in]."""
        for key, a in self.tensors.items():
            if key.endswith(".lora_A.weight"):
                yield _module(key), self.tensors[_partner(key)], a

    def mistake(self) -> str | None:
        """Matrices come in pairs of one rank, and the config says how to scale them."""
        config = self.metadata.get("adapter_config")
        if not isinstance(config, dict) or not {"r", "lora_alpha"} <= config.keys():
            return "a LoRA adapter's adapter_config must have r and lora_alpha"
        for key, tensor in self.tensors.items():
            other = self.tensors.get(_partner(key))
            if other is None or tensor.ndim != 2 or other.ndim != 2:
                return f"{key} must be one of a pair of matrices, lora_A and lora_B"
            if ".lora_A." in key and len(tensor) != other.shape[1]:
                return f"{key} has rank {len(tensor)}, {_partner(key)} has {other.shape[1]}"
        return None

    def sizes(self) -> dict[str, DeltaSize]:
        """The numbers of both matrices, by the weight that they adapt."""
        result: dict[str, DeltaSize] = {}
        for key, tensor in self.tensors.items():
            name = f"{_module(key)}.weight"
            former = result.get(name, DeltaSize(0, 0)).parameters
            result[name] = DeltaSize(0, former + tensor.numel())
        return result

    def check_shapes(self, shapes: Mapping[str, Sequence[int]], name: str) -> None:
        """Every product B·A has its weight's shape."""
        for module, b, a in self.pairs():
            parameter, product = f"{module}.weight", [len(b), a.shape[1]]
            shape = shapes[parameter]
            if (product[::-1] if self.config.get("fan_in_fan_out") else product) != list(shape):
                key = f"the product of {module}'s lora_B and lora_A"
                _misfit(key, product, parameter, shape, name, shape)

    def changes(self) -> dict[str, Change]:
        """Per adapted weight the addition of its scaled product, as PEFT's merge does it; the sum is
        rounded to the format of the delta.

        Raises NeftError for variants of LoRA whose merge is another.
        """
        config = self.config
        for option in ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save"):
            if config.get(option):
                raise NeftError(
                    f"delta: a LoRA adapter with {option}={config[option]} can't be merged here;"
                    " merge it with PEFT"
                )
        for key in self.tensors:
            if _partner(key) == key:
                raise NeftError(f"delta: unexpected tensor {key} in a LoRA adapter")
        rank = config["r"]
        scale = config["lora_alpha"] / (rank**0.5 if config.get("use_rslora") else rank)
        transposed = bool(config.get("fan_in_fan_out"))
        return {
            f"{module}.weight": _addition(b, a, scale, transposed) for module, b, a in self.pairs()
        }


KINDS: dict[str, type[Delta]] = {kind.kind: kind for kind in (NeuronDelta, TensorDelta, LoraDelta)}
"""The class of each kind of delta."""


def adapter_config(config: Any) -> dict[str, Any]:
    """A PEFT config as the plain values of an adapter_config.json; the same config gives the same
    text.
    """
    # Without the base's path on this machine: the hash says which base it is.
    values = config.to_dict() | {"base_model_name_or_path": None}
    # PEFT writes a set in whatever order it has today.
    text = json.dumps(values, default=lambda v: sorted(v) if isinstance(v, set) else str(v))
    plain: dict[str, Any] = json.loads(text)
    return plain


def _misfit(
    key: str,
    found: Sequence[int],
    parameter: str,
    shape: Sequence[int],
    name: str,
    needed: Sequence[int],
) -> NoReturn:
    raise NeftError(
        f"delta: {key} is {list(found)}, but {parameter} {list(shape)} of {name} needs"
        f" {list(needed)}"
    )


def _module(key: str) -> str:
    """Returns the name of the module that a tensor of a LoRA adapter belongs to."""
    return key.removeprefix("base_model.model.").split(".lora_")[0]


def _partner(key: str) -> str:
    """Returns the name of the matching lora_A or lora_B tensor; `key` itself if it is neither."""
    for end, other in ((".lora_A.weight", ".lora_B.weight"), (".lora_B.weight", ".lora_A.weight")):
        if key.endswith(end):
            return key.removesuffix(end) + other
    return key


def _replacement(value: Tensor) -> Change:
    def change(tensor: Tensor) -> None:
        tensor.copy_(value)

    return change


def _insertion(vectors: list[tuple[int, Tensor, Tensor]]) -> Change:
    def change(tensor: Tensor) -> None:
        for dim, index, values in vectors:
            values = values.to(tensor.device, tensor.dtype)
            tensor.index_copy_(dim, index.to(tensor.device).long(), values.t() if dim else values)

    return change


def _addition(b: Tensor, a: Tensor, scale: float, transposed: bool) -> Change:
    def change(tensor: Tensor) -> None:
        product = b.to(tensor.device, torch.float32) @ a.to(tensor.device, torch.float32)
        merged = tensor.float() + (product.t() if transposed else product) * scale
        # A saved delta is in the base's format. So are the weights that come out, whatever the
        # precision in which they are used: as other deltas hold them, and as they are exported.
        tensor.copy_(merged.to(a.dtype))

    return change
