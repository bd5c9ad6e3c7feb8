"""Neurons at random, as many of each module and of each tenth of its norms as another mask has:
what that mask's choice is worth beyond where it looks and how long its neurons are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import NonNegativeInt

from neft.schema import Strict
from neft.selection.selectors.union import MaskOf

if TYPE_CHECKING:
    from neft.core.mask import NeuronMask

READS = frozenset({"masks", "weights"})


class Spec(Strict):
    """Random neurons with another mask's counts by module and norm (a control)."""

    kind: Literal["matched"]
    """The plug-in's name."""
    of: str | MaskOf
    """A key of `masks`; with `{mask: …, dataset: …}` a mask that was found on another dataset."""
    seed: NonNegativeInt | None = None
    """Seed of the draw. Default: the run's seed, so every run has neurons of its own."""


def combine(inputs: Mapping[str, Any], spec: Spec, seed: int) -> NeuronMask:
    """A mask with the counts of the only one in `inputs["masks"]` by module and decile of the base
    model's norms.
    """
    import torch

    from neft.selection import base_vectors

    mask: NeuronMask = inputs["masks"][0]
    generator = torch.Generator().manual_seed(seed)
    chosen = {}
    for key, tenth in base_vectors.deciles(
        base_vectors.norms(inputs["weights"], mask.sites)
    ).items():
        counts = tenth[mask.indices[key].long()].bincount(minlength=base_vectors.DECILES)
        drawn = []
        for number, count in enumerate(counts.tolist()):
            pool = (tenth == number).nonzero().flatten()
            drawn.append(pool[torch.randperm(len(pool), generator=generator)[:count]])
        chosen[key] = torch.cat(drawn).sort().values.to(torch.int32)
    selector = {**spec.model_dump(mode="json"), "of": mask.selector, "run_seed": seed}
    return replace(mask, indices=chosen, selector=selector)
