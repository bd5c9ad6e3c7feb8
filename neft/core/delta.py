"""What a tuning run changed, and nothing else: one safetensors file of a few megabytes.

Three kinds of tensors:
neurons   per weight W `W:dim.index` (int32 [n], ascending) and `W:dim.values` ([n, length]): vectors of W along dimension dim
tensors   whole parameters by name
lora      a PEFT adapter under PEFT's own names; its config is `adapter_config` in the metadata
Metadata  kind, base_hash (of the model it belongs to), and a hash of the content
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from neft import errors
from neft.core import layers
from neft.errors import NeftError
from neft.models import identity
from neft.storage import sealed

Kind = Literal["neurons", "tensors", "lora"]


class Size(NamedTuple):
    """Trained neurons (0 unless the delta's kind is neurons) and trained numbers of one
    parameter.
    """

    neurons: int
    parameters: int


@dataclass(frozen=True, eq=False)
class Delta:
    """The changed values and what they belong to; `metadata` has at least base_hash, and
    adapter_config if kind is lora.
    """

    kind: Kind
    tensors: dict[str, Tensor]
    metadata: dict[str, Any]

    @property
    def base_hash(self) -> str:
        """The hash of the base model (`neft.models.identity`)."""
        return str(self.metadata["base_hash"])

    @property
    def parameters(self) -> int:
        """Trained numbers in it."""
        return sum(
            tensor.numel() for name, tensor in self.tensors.items() if not name.endswith(".index")
        )

    def save(self, path: str | Path, dtype: torch.dtype | None = None) -> None:
        """Write it atomically, values as `dtype` (the base's storage dtype) or as they are; same
        delta, same bytes.
        """
        kept = {
            name: tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor
            for name, tensor in self.tensors.items()
        }
        sealed.save(path, "delta", kept, {"kind": self.kind, **self.metadata})

    @classmethod
    def load(cls, path: str | Path) -> Delta:
        """Read one. Raises NeftError, naming the file, if it is truncated, changed, no delta, or
        holds what no delta can.
        """
        tensors, metadata = sealed.load(path, "delta")
        wrong = _wrong_form(tensors, metadata)
        if wrong:
            raise NeftError(f"{path}: not a usable delta: {wrong}")
        return cls(metadata.pop("kind"), tensors, metadata)


def of_neurons(model: nn.Module, base_hash: str) -> Delta:
    """The trained neurons of a model with an attached mask, as float32: `save` rounds them to the
    base's format.
    """
    tensors = {}
    for name, layer in layers.attached(model):
        for axis, index in (("row", layer.row_index), ("column", layer.column_index)):
            if len(index):
                dim = int((axis == "row") == layer.transposed)
                tensors[f"{name}.weight:{dim}.index"] = index.to("cpu", torch.int32)
                tensors[f"{name}.weight:{dim}.values"] = layer.current(axis).to(
                    "cpu", torch.float32
                )
    if not tensors:
        raise NeftError(
            "delta: this model has no mask attached; neft.attach(model, mask) comes first"
        )
    return Delta("neurons", tensors, {"base_hash": base_hash})


def of_trainable(model: Any, base_hash: str) -> Delta:
    """All trainable parameters of a model, whole; of a PEFT model its LoRA adapter."""
    if hasattr(model, "peft_config"):
        from peft import get_peft_model_state_dict

        adapter = {
            name: tensor.detach().cpu() for name, tensor in get_peft_model_state_dict(model).items()
        }
        return Delta(
            "lora",
            adapter,
            {
                "base_hash": base_hash,
                "adapter_config": adapter_config(model.peft_config["default"]),
            },
        )
    tensors = {
        name: p.detach().cpu().clone() for name, p in model.named_parameters() if p.requires_grad
    }
    return Delta("tensors", tensors, {"base_hash": base_hash})


def adapter_config(config: Any) -> dict[str, Any]:
    """A PEFT config as the plain values of an adapter_config.json; the same config gives the same
    text.
    """
    # Without the base's path on this machine: the hash says which base it is.
    values = config.to_dict() | {"base_model_name_or_path": None}
    # PEFT writes a set in whatever order it has today.
    plain: dict[str, Any] = json.loads(
        json.dumps(
            values, default=lambda value: sorted(value) if isinstance(value, set) else str(value)
        )
    )
    return plain


def sizes(delta: Delta) -> dict[str, Size]:
    """Per name of a changed parameter how much of it was trained."""
    result: dict[str, Size] = {}
    for key, tensor in delta.tensors.items():
        if delta.kind == "neurons":
            name, index = key.rpartition(":")[0], key.endswith(".index")
            more = (len(tensor), 0) if index else (0, tensor.numel())
        else:
            name = f"{_module(key)}.weight" if delta.kind == "lora" else key
            more = (0, tensor.numel())
        former = result.get(name, (0, 0))
        result[name] = Size(former[0] + more[0], former[1] + more[1])
    return result


def apply(model: nn.Module, delta: Delta, base_hash: str | None = None) -> Delta:
    """Change a plain model in place to what the delta's run had trained; returns what `revert`
    needs to undo it.

    base_hash: the model's, where it is known; else it is computed. Raises NeftError if the delta
    belongs to another model or a mask is attached to this one.
    """
    if any(layers.attached(model)):
        raise NeftError(
            "apply: this model has a mask attached, whose next step would undo the change; detach"
            " it first"
        )
    check_base(delta, base_hash or identity.base_hash(model), type(model).__name__)
    former = {name: _parameter(model, name) for name in changes(delta)}
    check_shapes(
        delta, {name: tensor.shape for name, tensor in former.items()}, type(model).__name__
    )
    if delta.kind == "neurons":
        undo = Delta("neurons", _gather(delta, former), delta.metadata)
    else:
        undo = Delta(
            "tensors", {name: tensor.clone() for name, tensor in former.items()}, delta.metadata
        )
    for name, change in changes(delta).items():
        change(former[name])
    return undo


def revert(model: nn.Module, undo: Delta) -> None:
    """Undo an `apply`: every bit is as before. undo: what `apply` returned."""
    for name, change in changes(undo).items():
        change(_parameter(model, name))


def check_base(delta: Delta, base_hash: str, name: str) -> None:
    """Raise NeftError unless the delta belongs to the model with this hash."""
    if delta.base_hash != base_hash:
        raise NeftError(
            f"this delta belongs to another base model: it was trained on {delta.base_hash[:12]}…,"
            f" {name} is {base_hash[:12]}…"
        )


def check_shapes(delta: Delta, shapes: Mapping[str, Sequence[int]], name: str) -> None:
    """Raise NeftError unless what the delta holds fits parameters of these shapes, those of the
    model called `name`.
    """

    def fits(key: str, found: Sequence[int], parameter: str, expected: Sequence[int]) -> None:
        if list(found) != list(expected):
            raise NeftError(
                f"delta: {key} is {list(found)}, but {parameter} {list(shapes[parameter])} of"
                f" {name} needs {list(expected)}"
            )

    if delta.kind == "tensors":
        for parameter, value in delta.tensors.items():
            fits(parameter, value.shape, parameter, shapes[parameter])
    elif delta.kind == "lora":
        transposed = bool(delta.metadata["adapter_config"].get("fan_in_fan_out"))
        for key, down in delta.tensors.items():
            if key.endswith(".lora_A.weight"):
                parameter, product = (
                    f"{_module(key)}.weight",
                    (len(delta.tensors[_other(key)]), down.shape[1]),
                )
                fits(
                    f"the product of {key}",
                    product[::-1] if transposed else product,
                    parameter,
                    shapes[parameter],
                )
    else:
        for parameter, dim, index, values in vectors(delta):
            shape = shapes[parameter]
            if len(shape) != 2 or (len(index) and int(index[-1]) >= shape[dim]):
                raise NeftError(
                    f"delta: {parameter}:{dim}.index ends with {int(index[-1])}, but {name} has"
                    f" {list(shape)} there"
                )
            fits(f"{parameter}:{dim}.values", values.shape, parameter, (len(index), shape[1 - dim]))


def _wrong_form(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> str | None:
    """What is wrong with a delta by itself, whatever the model; None if nothing is."""
    kind = metadata.get("kind")
    if kind not in get_args(Kind) or not isinstance(metadata.get("base_hash"), str):
        return f"its kind is {kind!r} and its base {metadata.get('base_hash')!r}"
    if kind == "neurons":
        for key in tensors:
            place, _, what = key.rpartition(".")
            index, values = tensors.get(f"{place}.index"), tensors.get(f"{place}.values")
            if (
                what not in ("index", "values")
                or place[-2:] not in (":0", ":1")
                or index is None
                or values is None
            ):
                return (
                    f"{key} is no index or values of a weight's dimension 0 or 1, or lacks the"
                    " other of the two"
                )
            if (
                index.dtype != torch.int32
                or index.ndim != 1
                or (index.diff() <= 0).any()
                or (index < 0).any()
            ):
                return f"{place}.index must be one vector of ascending int32 numbers"
            if not values.is_floating_point() or values.ndim != 2 or len(values) != len(index):
                return (
                    f"{place}.values is {list(values.shape)}, but must be a matrix with a row for"
                    f" each of {len(index)} numbers"
                )
    if kind == "lora":
        config = metadata.get("adapter_config")
        if not isinstance(config, dict) or not {"r", "lora_alpha"} <= config.keys():
            return "a LoRA adapter's adapter_config must have r and lora_alpha"
        for key, tensor in tensors.items():
            other = tensors.get(_other(key))
            if other is None or tensor.ndim != 2 or other.ndim != 2:
                return f"{key} must be one of a pair of matrices, lora_A and lora_B"
            if ".lora_A." in key and len(tensor) != other.shape[1]:
                return f"{key} has rank {len(tensor)}, {_other(key)} has {other.shape[1]}"
    return None


def _other(key: str) -> str:
    """Of the two tensors of a module's LoRA adapter the other one's name; the same name if it is
    neither.
    """
    if key.endswith(".lora_A.weight"):
        return key.removesuffix(".lora_A.weight") + ".lora_B.weight"
    return (
        key.removesuffix(".lora_B.weight") + ".lora_A.weight"
        if key.endswith(".lora_B.weight")
        else key
    )


def changes(delta: Delta) -> dict[str, Callable[[Tensor], None]]:
    """Per name of a changed parameter a function that changes its tensor in place."""
    if delta.kind == "tensors":
        return {name: _replacement(value) for name, value in delta.tensors.items()}
    if delta.kind == "lora":
        return dict(_products(delta))
    parts: dict[str, list[tuple[int, Tensor, Tensor]]] = {}
    for name, dim, index, values in vectors(delta):
        parts.setdefault(name, []).append((dim, index, values))
    return {name: _insertion(vectors) for name, vectors in parts.items()}


def vectors(delta: Delta) -> Iterator[tuple[str, int, Tensor, Tensor]]:
    """Of a delta of neurons: parameter's name, dimension, index, values."""
    for key, index in delta.tensors.items():
        if key.endswith(".index"):
            place = key.removesuffix(".index")
            name, _, dim = place.rpartition(":")
            yield name, int(dim), index, delta.tensors[f"{place}.values"]


def _gather(delta: Delta, former: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The present values of what a delta of neurons would change, in its own layout."""
    result = {}
    for name, dim, index, _ in vectors(delta):
        tensor = former[name]
        picked = tensor.index_select(dim, index.to(tensor.device))
        result[f"{name}:{dim}.index"] = index
        result[f"{name}:{dim}.values"] = picked.t().contiguous() if dim else picked
    return result


def _parameter(model: nn.Module, name: str) -> Tensor:
    try:
        return model.get_parameter(name).detach()
    except AttributeError as error:
        names = [name for name, _ in model.named_parameters()]
        raise NeftError(
            f"delta: {type(model).__name__}: {errors.unknown_name('parameter', name, names)}"
        ) from error


def _replacement(value: Tensor) -> Callable[[Tensor], None]:
    def change(tensor: Tensor) -> None:
        tensor.copy_(value)

    return change


def _insertion(vectors: list[tuple[int, Tensor, Tensor]]) -> Callable[[Tensor], None]:
    def change(tensor: Tensor) -> None:
        for dim, index, values in vectors:
            values = values.to(tensor.device, tensor.dtype)
            tensor.index_copy_(dim, index.to(tensor.device).long(), values.t() if dim else values)

    return change


def _products(delta: Delta) -> Iterator[tuple[str, Callable[[Tensor], None]]]:
    """Of a LoRA adapter: per weight the addition of its scaled product, as PEFT's merge does it."""
    config = delta.metadata["adapter_config"]
    for option in ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save"):
        if config.get(option):
            raise NeftError(
                f"delta: a LoRA adapter with {option}={config[option]} can't be merged here; merge"
                " it with PEFT"
            )
    rank = config["r"]
    scale = config["lora_alpha"] / (rank**0.5 if config.get("use_rslora") else rank)
    for key, down in delta.tensors.items():
        if key.endswith(".lora_A.weight"):
            up = delta.tensors[_other(key)]
            yield (
                f"{_module(key)}.weight",
                _addition(up, down, scale, bool(config.get("fan_in_fan_out"))),
            )
        elif not key.endswith(".lora_B.weight"):
            raise NeftError(f"delta: unexpected tensor {key} in a LoRA adapter")


def _module(key: str) -> str:
    """The module that a tensor of a LoRA adapter belongs to."""
    return key.removeprefix("base_model.model.").split(".lora_")[0]


def _addition(up: Tensor, down: Tensor, scale: float, transposed: bool) -> Callable[[Tensor], None]:
    def change(tensor: Tensor) -> None:
        product = up.to(tensor.device, torch.float32) @ down.to(tensor.device, torch.float32)
        tensor += (product.t() if transposed else product) * scale

    return change
