"""The publication's claims, and which pairs of a configuration's methods test them.

What a method stands for follows from its kind and its mask: nothing of it is configured. Read at
every start of Snakemake, so nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

from neft.config import mask_uses
from neft.config.mask_uses import Use

if TYPE_CHECKING:
    from neft.config.model import Config, Experiment

CONTROLS = ("random", "reversed", "matched", "norm")
"""Selectors of masks that are there to do worse."""


class ClaimPair(NamedTuple):
    """Two methods of which the publication says something: the first does better, or (early,
    transferred) as well.
    """

    claim: str
    first: str
    second: str


def pairs(config: Config, experiment: Experiment) -> list[ClaimPair]:
    """The pairs of an experiment's methods that test a claim."""
    methods = [name for name in experiment.methods if config.methods[name].kind != "base"]
    return [
        ClaimPair(claim, first, second)
        for first, second in permutations(methods, 2)
        for claim in _claims(config, first, second, experiment.train)
    ]


def _claims(config: Config, first: str, second: str, train: str) -> Iterator[str]:
    use, other = (mask_uses.of_method(config, method, train) for method in (first, second))
    kind = config.methods[second].kind
    if use is None:
        return
    if _plain(config, use, train):
        if kind == "full":
            yield "full"
        elif kind == "lora":
            yield "lora"  # at equal size: what LoRA's is only the model tells
    if other is None or _size(config, use.mask) != _size(config, other.mask):
        return
    if _similar(config, use) and _plain(config, use, train):
        if config.masks[other.mask].kind == "random":
            yield "random"
        elif "reversed" in _kinds(config, other):
            yield "reversed"
    elif _similar(config, other) and _plain(config, other, train) and _similar(config, use):
        yield "early" if _early(config, use) else "transferred"


def _plain(config: Config, use: Use, train: str) -> bool:
    """Whether a mask is one that should do well, found on the very training set at the probe's
    end.
    """
    parts = mask_uses.closure(config, use)
    own = all(
        part.dataset == train or "masks" in mask_uses.reads(config, part.mask) for part in parts
    )
    controls = set(CONTROLS) & _kinds(config, use) or any(_control(config, p) for p in parts)
    return own and not _early(config, use) and not controls


def _similar(config: Config, use: Use) -> bool:
    """Whether a mask is the publication's own: of the neurons that the task's probe turned most."""
    return bool(config.masks[use.mask].kind == "similarity") and not _control(config, use)


def _control(config: Config, use: Use) -> bool:
    """Whether a mask's probe has not seen the task."""
    return bool(getattr(config.masks[use.mask], "probe", "task") != "task")


def _early(config: Config, use: Use) -> bool:
    return any(mask_uses.early(config, part.mask) for part in mask_uses.closure(config, use))


def _kinds(config: Config, use: Use) -> set[str]:
    return {config.masks[part.mask].kind for part in mask_uses.closure(config, use)}


def _size(config: Config, mask: str) -> tuple[float, int]:
    """What a mask asks for, as a share and as a number of neurons: of a union the sum of its
    parts.
    """
    parts = mask_uses.parts(config, Use(mask, ""))
    sizes = [_size(config, part.mask) for part in parts] if parts else []
    settings = config.masks[mask]
    shares = [getattr(settings, "fraction", None) or 0.0, *(share for share, _ in sizes)]
    neurons = [getattr(settings, "neurons", None) or 0, *(number for _, number in sizes)]
    return round(sum(shares), 9), sum(neurons)
