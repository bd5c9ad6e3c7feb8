"""How many neurons a mask has and which: what the selectors share. Read at every start of
Snakemake: nothing heavy here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt, model_validator

from neft.core.neurons import Kind, Site, layer_of
from neft.errors import NeftError
from neft.schema import Strict

if TYPE_CHECKING:
    from torch import Tensor

Scope = Literal["global", "module", "layer"]


class MaskSpec(Strict):
    """How many neurons and of which matrices; the base of the `Spec` of a plug-in in
    `neft/selection/selectors/`.
    """

    fraction: float | None = Field(None, gt=0, le=1)
    """Size as a share of ALL the model's parameters, so 0.09 trains 9 % of the model. Either this
    or `neurons`.
    """
    neurons: PositiveInt | None = None
    """Size as a number of neurons. Either this or `fraction`."""
    modules: tuple[Kind, ...] = Field(("up_proj", "down_proj"), min_length=1)
    """The matrices whose neurons may be chosen."""
    axis: Literal["natural", "row"] = "natural"
    """`natural`: a neuron has the model's hidden size, so it is a row of `up`, `gate`, `q`, `k`,
    `v`, a column of `down`, `o`. `row`: rows of every matrix.
    """
    scope: Scope = "global"
    """Rank all neurons together, or give each `module` or each `layer` its share of the number."""

    @model_validator(mode="after")
    def _one_size(self) -> MaskSpec:
        if (self.fraction is None) == (self.neurons is None):
            raise ValueError(
                "give either fraction (of the model's parameters) or neurons (a count)"
            )
        return self


class ProbedSpec(MaskSpec):
    """The base of the `Spec` of a selector that looks at the probe, the short full fine-tuning."""

    step: PositiveInt | None = None
    """The step of the probe after which the model is compared with the base, of the same run of
    `probe.steps` steps. Default: the last.
    """


@dataclass(frozen=True)
class Ranking:
    """What a selector says: per key a float vector [neurons], the largest taken first; `report`
    (JSON values) is recorded.
    """

    scores: dict[str, Tensor]
    report: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """One part of a union that is topped up: a selector's scores, and how many neurons it brings
    along.
    """

    scores: dict[str, Tensor]
    budget: int
    scope: Scope = "global"

    @property
    def offered(self) -> int:
        """Neurons that there are to choose from."""
        return sum(map(len, self.scores.values()))


def budget(spec: Mapping[str, Any], sites: Mapping[str, Site], parameters: int, name: str) -> int:
    """How many neurons a mask's spec asks for in a model called `name` with so many parameters.

    A fraction is of all parameters; where neurons differ in length (`axis: row`), their mean length
    counts. Raises NeftError if the modules don't hold that many neurons.
    """
    offered = sum(site.count for site in sites.values())
    numbers = sum(site.count * site.length for site in sites.values())
    fraction = spec.get("fraction")
    wanted = (
        int(spec["neurons"])
        if fraction is None
        else round(fraction * parameters * offered / numbers)
    )
    if not 1 <= wanted <= offered:
        asked = (
            f"neurons: {wanted:,} are asked for"
            if fraction is None
            else f"fraction: {fraction} asks for {wanted:,} neurons"
        )
        kinds = " and ".join(dict.fromkeys(site.kind for site in sites.values()))
        raise NeftError(
            f"{asked}, but {kinds} of {name} have {offered:,} ({numbers / parameters:.2f})"
        )
    return wanted


def take(
    scores: Mapping[str, Tensor], count: int, scope: str = "global", largest: bool = True
) -> dict[str, Tensor]:
    """The `count` neurons with the largest (or smallest) scores: per key ascending int32.

    scores: per key a float vector [neurons]. Ties go to the earlier key, then to the lower index,
    so the same scores give the same neurons always. Raises NeftError if a score is NaN.
    """
    import torch

    groups: dict[Any, list[str]] = {}
    for key in scores:
        groups.setdefault({"global": 0, "module": key, "layer": layer_of(key)}[scope], []).append(
            key
        )
    shares = _shares([sum(len(scores[key]) for key in keys) for keys in groups.values()], count)
    chosen = {}
    for keys, share in zip(groups.values(), shares, strict=True):
        flags = _top(torch.cat([scores[key] for key in keys]), share, largest)
        for key, flag in zip(
            keys, torch.split(flags, [len(scores[key]) for key in keys]), strict=True
        ):
            chosen[key] = flag.nonzero().flatten().to(torch.int32)
    return {key: chosen[key] for key in scores}


def refill(parts: Sequence[Part]) -> dict[str, Tensor]:
    """The union of the parts with as many neurons as all their budgets together: per key ascending
    int32.

    Where parts share neurons their union is short of the sum, so the parts take turns in taking one
    more each, the first part first, until the union has the number. A share of a scope (`_shares`)
    may move by two neurons at once: what is then too much is dropped from the neurons that came
    last. Raises NeftError if the parts have too few neurons.
    """
    wanted = sum(part.budget for part in parts)
    low, high = -1, len(parts) * max(part.offered - part.budget for part in parts)
    together = _together(parts, high)
    found = sum(int(flags.sum()) for flags in together.values())
    if found < wanted:
        raise NeftError(
            f"refill: the parts ask for {wanted:,} neurons together, but their modules have only"
            f" {found:,}"
        )
    while high - low > 1:
        middle = (low + high) // 2
        if sum(int(flags.sum()) for flags in _together(parts, middle).values()) < wanted:
            low = middle
        else:
            high = middle
    together, before = _together(parts, high), _together(parts, max(low, 0))
    surplus = sum(int(flags.sum()) for flags in together.values()) - wanted
    for key, flags in reversed(together.items()):
        drop = (flags & ~before[key]).nonzero().flatten().flip(0)[:surplus]
        flags[drop] = False
        surplus -= len(drop)
    return {key: flags.nonzero().flatten().int() for key, flags in together.items()}


def _together(parts: Sequence[Part], turns: int) -> dict[str, Tensor]:
    """True at the neurons that any part has after so many turns of taking one more."""
    import torch

    flags = {
        key: torch.zeros(len(scores), dtype=torch.bool)
        for part in parts
        for key, scores in part.scores.items()
    }
    for place, part in enumerate(parts):
        more = turns // len(parts) + (place < turns % len(parts))
        for key, index in take(
            part.scores, min(part.budget + more, part.offered), part.scope
        ).items():
            flags[key][index.long()] = True
    return flags


def _top(scores: Tensor, count: int, largest: bool) -> Tensor:
    """True at the `count` largest or smallest scores; among equal ones at the first."""
    import torch

    if scores.isnan().any():
        raise NeftError("a score is NaN: neurons can't be ranked")
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    # The threshold by partial sorting; torch.topk itself breaks ties in no particular order.
    rank = len(scores) - count + 1 if largest else count
    threshold = scores.kthvalue(rank).values
    flags = scores > threshold if largest else scores < threshold
    ties = (scores == threshold).nonzero().flatten()
    flags[ties[: count - int(flags.sum())]] = True
    return flags


def _shares(sizes: list[int], count: int) -> list[int]:
    """Split `count` in proportion to sizes: rounded down, what is left to the largest remainders,
    the first of equal ones.
    """
    total = sum(sizes)
    shares = [count * size // total for size in sizes]
    order = sorted(range(len(sizes)), key=lambda i: -(count * sizes[i] % total))
    for i in order[: count - sum(shares)]:
        shares[i] += 1
    return shares
