"""How many neurons a mask has and which: what the selectors share. Read at every start of
Snakemake: nothing heavy here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from neft.core.neurons import Kind, Site, layer_of
from neft.errors import NeftError
from neft.schema import Strict
from neft.training.settings import Control

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
    seed: NonNegativeInt | None = None
    """Seed of what finds the neurons: the probe, the batches, the draw. Default: that of the run, so
    that every run has neurons of its own. With a seed all runs train the same, and what varies
    between them is their training.
    """

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
    probe: Literal["task"] | Control = "task"
    """What the probe trains on: the `task`, or as a control `noise` (random tokens in place of all) or
    `shuffled` (every prompt with another row's answer).
    """


@dataclass(frozen=True)
class Ranking:
    """What a selector says: per key a float vector [neurons], the largest taken first; `report`
    (JSON values) is recorded.
    """

    scores: dict[str, Tensor]
    report: dict[str, Any] = field(default_factory=dict)


class Ties(NamedTuple):
    """Neurons with the very score at which a mask is cut, and how many of them it took."""

    tied: int
    taken: int


@dataclass(frozen=True)
class Part:
    """One part of a union that is topped up: a selector's scores, and how many neurons it brings
    along.
    """

    scores: dict[str, Tensor]
    budget: int
    scope: Scope = "global"


def budget(spec: MaskSpec, sites: Mapping[str, Site], parameters: int, name: str) -> int:
    """How many neurons a mask's spec asks for in a model called `name` with so many parameters.

    A fraction is of all parameters; where neurons differ in length (`axis: row`), their mean length
    counts. Raises NeftError if the modules don't hold that many neurons.
    """
    offered = sum(site.count for site in sites.values())
    numbers = sum(site.count * site.length for site in sites.values())
    if spec.neurons is not None:
        wanted, asked = spec.neurons, f"neurons: {spec.neurons:,} are asked for"
    else:
        wanted = round((spec.fraction or 0) * parameters * offered / numbers)
        asked = f"fraction: {spec.fraction} asks for {wanted:,} neurons"
    if not 1 <= wanted <= offered:
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

    groups = _groups(scores, scope)
    shares = _shares([sum(len(scores[key]) for key in keys) for keys in groups], count)
    chosen = {}
    for keys, share in zip(groups, shares, strict=True):
        flags = _top(torch.cat([scores[key] for key in keys]), share, largest)
        for key, flag in zip(
            keys, torch.split(flags, [len(scores[key]) for key in keys]), strict=True
        ):
            chosen[key] = flag.nonzero().flatten().to(torch.int32)
    return {key: chosen[key] for key in scores}


def ties(scores: Mapping[str, Tensor], chosen: Mapping[str, Tensor], scope: str = "global") -> Ties:
    """The ties at the cut of what `take` chose by these scores, largest first: of all the groups of
    a scope in which some of the neurons with the lowest score that was taken were left.
    """
    import torch

    tied = taken = 0
    for keys in _groups(scores, scope):
        inside = torch.cat([scores[key][chosen[key].long()] for key in keys])
        if not len(inside):
            continue
        everyone, lowest = torch.cat([scores[key] for key in keys]), inside.min()
        there, in_mask = int((everyone == lowest).sum()), int((inside == lowest).sum())
        if there > in_mask:
            tied, taken = tied + there, taken + in_mask
    return Ties(tied, taken)


def refill(parts: Sequence[Part]) -> dict[str, Tensor]:
    """The union of the parts with as many neurons as all their budgets together: per key ascending
    int32.

    Where parts share neurons their union is short of the sum, so the parts take turns in taking one
    more each, the first part first, until the union has the number. Raises NeftError if the parts
    have too few neurons.
    """
    import torch

    wanted = sum(part.budget for part in parts)
    turns: dict[str, Tensor] = {}
    for place, part in enumerate(parts):
        for key, turn in _turns(part, place, len(parts)).items():
            turns[key] = torch.minimum(turns[key], turn) if key in turns else turn
    offered = sum(map(len, turns.values()))
    if offered < wanted:
        raise NeftError(
            f"refill: the parts ask for {wanted:,} neurons together, but their modules have only"
            f" {offered:,}"
        )
    return take(turns, wanted, largest=False)


def _turns(part: Part, place: int, parts: int) -> dict[str, Tensor]:
    """The turn in which the part at `place` of so many `parts` takes each neuron: int64 [neurons].

    0 for the part's own choice, then place + 1, place + 1 + parts, … for one neuron each. With a
    scope the next neuron comes from the group of which the smallest share is taken, so that all
    groups grow alike.
    """
    import torch

    share: dict[str, Tensor] = {}
    for keys in _groups(part.scores, part.scope):
        scores = torch.cat([part.scores[key] for key in keys])
        order = scores.argsort(descending=True, stable=True)
        taken = torch.empty(len(order), dtype=torch.float64)
        taken[order] = (torch.arange(len(order), dtype=torch.float64) + 0.5) / len(order)
        lengths = [len(part.scores[key]) for key in keys]
        share |= zip(keys, torch.split(taken, lengths), strict=True)
    later = {key: torch.ones(len(scores), dtype=torch.bool) for key, scores in part.scores.items()}
    for key, index in take(part.scores, part.budget, part.scope).items():
        later[key][index.long()] = False
    rest = torch.cat(list(later.values()))
    order = torch.cat([share[key] for key in part.scores])[rest].argsort(stable=True)
    waiting = torch.empty_like(order)
    waiting[order] = torch.arange(len(order)) * parts + place + 1
    turns = torch.zeros(len(rest), dtype=torch.int64)
    turns[rest] = waiting
    lengths = [len(scores) for scores in part.scores.values()]
    return dict(zip(part.scores, torch.split(turns, lengths), strict=True))


def _groups(keys: Iterable[str], scope: str) -> list[list[str]]:
    """The keys among which a scope ranks, each group in the order given."""
    groups: dict[Any, list[str]] = {}
    for key in keys:
        group = {"global": 0, "module": key, "layer": layer_of(key)}[scope]
        groups.setdefault(group, []).append(key)
    return list(groups.values())


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
