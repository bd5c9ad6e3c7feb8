"""A mask: which neurons are trained. One safetensors file.

Tensors   per key of `neft.core.neurons.find` the chosen neurons, int32, ascending
Metadata  base_hash, selector (its spec), budget, hidden_size, and per key its site: module, axis, number and length of neurons
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from neft import errors
from neft.core import neurons
from neft.core.neurons import Site
from neft.errors import NeftError
from neft.models import identity
from neft.storage import sealed

Group = TypeVar("Group", str, int)


class Count(NamedTuple):
    """Neurons chosen, neurons that the mask's matrices have, and numbers in the chosen ones."""

    chosen: int
    offered: int
    parameters: int


class Overlap(NamedTuple):
    """How many neurons two masks share, and how many they would share by chance.

    `first` and `second` are the masks' sizes, `offered` the neurons of all their matrices. `chance`
    is what two masks of these sizes share on average if each is drawn at random from the neurons
    that it could choose from, with its own `scope`; `chance_by_module` what those do that have the
    same sizes in every module.
    """

    shared: int
    first: int
    second: int
    offered: int
    chance: float
    chance_by_module: float


@dataclass(frozen=True, eq=False)
class NeuronMask:
    """Chosen neurons per key (ascending int32) and what they belong to.

    `sites` says for each key in `indices` where its neurons are; `selector` is the spec they were
    chosen by, with `seed` if chance took part; `budget` the number asked for.
    """

    indices: dict[str, Tensor]
    sites: dict[str, Site]
    base_hash: str
    hidden_size: int
    selector: dict[str, Any] = field(default_factory=dict)
    budget: int = 0

    def __post_init__(self) -> None:
        """Check every vector against its site. Raises NeftError naming the key."""
        for key, index in self.indices.items():
            if key not in self.sites:
                raise NeftError(f"mask: {errors.unknown_name('module', key, list(self.sites))}")
            if index.dtype != torch.int32 or index.ndim != 1:
                raise NeftError(
                    f"mask: {key}: expected one int32 vector, got {index.dtype} {list(index.shape)}"
                )
            if len(index) and (
                index[0] < 0 or index[-1] >= self.sites[key].count or (index.diff() <= 0).any()
            ):
                raise NeftError(
                    f"mask: {key}: expected ascending neurons of 0 … {self.sites[key].count - 1},"
                    f" got {index.tolist()}"
                )

    @classmethod
    def from_indices(
        cls, indices: Mapping[str, Sequence[int] | Tensor], model: nn.Module
    ) -> NeuronMask:
        """A mask of the neurons `{key: numbers}` of a model; the keys are those of
        `neft.core.neurons.find` (module names).

        The numbers may come in any order; a negative, repeated or too large one is an error.
        """
        sites = neurons.find(model) | neurons.find(model, axis="row")
        for key in indices:
            if key not in sites:
                raise NeftError(f"mask: {errors.unknown_name('module', key, list(sites))}")
        vectors = {
            key: torch.as_tensor(index).to("cpu", torch.int32).reshape(-1).sort().values
            for key, index in indices.items()
        }
        config: Any = model.config
        return cls(
            indices=vectors,
            sites={key: sites[key] for key in vectors},
            base_hash=identity.base_hash(model),
            hidden_size=config.get_text_config().hidden_size,
            selector={"kind": "indices"},
            budget=sum(len(index) for index in vectors.values()),
        )

    def check_base(self, base_hash: str, name: str | Path) -> None:
        """Raise NeftError, which begins with `name`, unless the mask was made for the model with
        this hash.
        """
        if self.base_hash != base_hash:
            raise NeftError(
                f"{name}: a mask of another base model: made for {self.base_hash[:12]}…, this one"
                f" is {base_hash[:12]}…"
            )

    @property
    def count(self) -> int:
        """Neurons chosen."""
        return sum(len(index) for index in self.indices.values())

    @property
    def parameters(self) -> int:
        """Numbers that a model attached to this mask trains."""
        return sum(len(index) * self.sites[key].length for key, index in self.indices.items())

    @property
    def axes(self) -> dict[str, str]:
        """Per key "row" or "column"."""
        return {key: site.axis for key, site in self.sites.items()}

    def rate(self, key: str) -> float:
        """How likely a random mask of this size and scope holds a given neuron of `key`; 0 where it
        couldn't choose from.
        """
        if key not in self.sites:
            return 0.0
        scope = self.selector.get("scope", "global")
        group = {
            "module": [key],
            "layer": [k for k in self.sites if neurons.layer_of(k) == neurons.layer_of(key)],
        }
        keys = group.get(scope, list(self.sites))
        offered = sum(self.sites[k].count for k in keys)
        return sum(len(self.indices[k]) for k in keys if k in self.indices) / offered

    @cached_property
    def sha256(self) -> str:
        """A hash of all that the mask says; resuming a run with another mask is refused by it."""
        return sealed.digest(self.indices, self._metadata())

    def counts_by_kind(self) -> dict[str, Count]:
        """Per kind of matrix ("up_proj", …) what is chosen of its neurons, in the model's order."""
        return self._counts(lambda key: self.sites[key].kind)

    def counts_by_layer(self) -> dict[int, Count]:
        """Per layer (-1: outside of the layers) what is chosen of its neurons, in the model's
        order.
        """
        return self._counts(neurons.layer_of)

    def save(self, path: str | Path) -> None:
        """Write the mask, atomically; the same mask gives the same bytes."""
        sealed.save(path, "mask", self.indices, self._metadata())

    @classmethod
    def load(cls, path: str | Path) -> NeuronMask:
        """Read a mask. Raises NeftError, naming the file, if it is damaged or no mask."""
        tensors, metadata = sealed.load(path, "mask")
        try:
            sites = {key: Site(**site) for key, site in metadata.pop("sites").items()}
            # safetensors orders by name ("layers.10" before "layers.2"); the sites are in the
            # model's order.
            mask = cls({key: tensors[key] for key in sites}, sites, **metadata)
            numbers = (
                mask.hidden_size,
                mask.budget,
                *(n for s in sites.values() for n in (s.start, s.count, s.length, s.dim)),
            )
            if not all(isinstance(number, int) for number in numbers):
                raise TypeError("a size in its metadata is no whole number")
            if not isinstance(mask.base_hash, str) or not isinstance(mask.selector, dict):
                raise TypeError(f"its base is {mask.base_hash!r}, its selector {mask.selector!r}")
            return mask
        except (NeftError, KeyError, TypeError, AttributeError) as error:
            raise NeftError(f"{path}: not a usable mask: {error}") from error

    def _counts(self, group: Callable[[str], Group]) -> dict[Group, Count]:
        result: dict[Group, Count] = {}
        for key, index in self.indices.items():
            site, former = self.sites[key], result.get(group(key), Count(0, 0, 0))
            more = (len(index), site.count, len(index) * site.length)
            result[group(key)] = Count(*(a + b for a, b in zip(former, more, strict=True)))
        return result

    def _metadata(self) -> dict[str, Any]:
        return {
            "base_hash": self.base_hash,
            "hidden_size": self.hidden_size,
            "selector": self.selector,
            "budget": self.budget,
            "sites": {key: self.sites[key].as_json() for key in self.indices},
        }


def union(masks: Sequence[NeuronMask], selector: dict[str, Any] | None = None) -> NeuronMask:
    """The neurons that are in any of the masks."""
    return _combine(masks, lambda sets: set().union(*sets), selector or {"kind": "union"})


def intersection(masks: Sequence[NeuronMask]) -> NeuronMask:
    """The neurons that are in every one of the masks."""
    return _combine(masks, lambda sets: set.intersection(*sets), {"kind": "intersection"})


def overlap(first: NeuronMask, second: NeuronMask) -> Overlap:
    """Compare two masks of one model (means of the hypergeometric distribution). Raises NeftError
    if they are of two.
    """
    shared = intersection([first, second]).indices
    sites = first.sites | second.sites
    empty = torch.empty(0, dtype=torch.int32)
    pairs = {
        key: (len(first.indices.get(key, empty)), len(second.indices.get(key, empty)))
        for key in sites
    }
    offered = sum(site.count for site in sites.values())
    return Overlap(
        shared=sum(len(index) for index in shared.values()),
        first=first.count,
        second=second.count,
        offered=offered,
        chance=sum(site.count * first.rate(key) * second.rate(key) for key, site in sites.items()),
        chance_by_module=sum(a * b / sites[key].count for key, (a, b) in pairs.items()),
    )


def _combine(masks: Sequence[NeuronMask], operation: Any, selector: dict[str, Any]) -> NeuronMask:
    first = masks[0]
    for mask in masks:
        if mask.base_hash != first.base_hash:
            raise NeftError(
                f"masks of different base models can't be combined: {first.base_hash[:12]} and"
                f" {mask.base_hash[:12]}"
            )
    sites = {key: site for mask in masks for key, site in mask.sites.items()}
    indices = {}
    for key in sites:
        sets = [set(mask.indices[key].tolist()) if key in mask.indices else set() for mask in masks]
        indices[key] = torch.tensor(sorted(operation(sets)), dtype=torch.int32)
    budget = sum(len(index) for index in indices.values())
    return NeuronMask(indices, sites, first.base_hash, first.hidden_size, selector, budget)
