"""Mistakes in which masks a configuration asks for, and on which data sets these are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from neft import errors, plugins
from neft.config import mask_uses

if TYPE_CHECKING:
    from neft.config.model import Config

SPLITS = {
    "distances": ("train", "dev"),
    "norms": ("train", "dev"),
    "references": ("train", "dev"),
    "activations": ("train",),
    "gradients": ("train",),
    "states": ("train", "dev"),
}
"""The splits that the files are made from which a selector reads."""


def mistakes(config: Config) -> Iterator[str]:
    """What no single key shows: names that lead nowhere, circles, steps, files and splits that
    aren't there.
    """
    unknown = [*_unknown_names(config)]
    yield from unknown
    for name, mask in config.masks.items():
        early, file = getattr(mask, "step", None), getattr(mask, "path", None)
        if early and early > config.probe.steps:
            yield (
                f"masks.{name}.step: the probe takes {config.probe.steps} steps (probe.steps), got"
                f" {early}"
            )
        for dataset in getattr(mask, "datasets", ()):
            if dataset not in config.datasets:
                known = list(config.datasets)
                yield f"masks.{name}.datasets: {errors.unknown_name('dataset', dataset, known)}"
            elif config.datasets[dataset].splits.train == 0:
                yield (
                    f"datasets.{dataset}.splits.train: mask '{name}' looks at it, so it needs at"
                    " least 1 row, got 0"
                )
        if file and not Path(file).is_file():
            yield f"masks.{name}.path: no such file: {file}"
    axes = {name: mask.axis for name, mask in config.masks.items() if hasattr(mask, "axis")}
    if len(set(axes.values())) > 1:
        yield (
            "masks: all masks of an experiment share one `axis`, since neurons are compared once"
            f" for all; got {axes}"
        )
    if not unknown:
        yield from _unranked_parts(config)
        yield from _unfit_datasets(config)


def _unknown_names(config: Config) -> Iterator[str]:
    """Masks and datasets that are named but not there, and masks that are made of themselves."""
    masks, datasets = list(config.masks), list(config.datasets)
    for name, method in config.methods.items():
        mask, dataset = getattr(method, "mask", None), getattr(method, "mask_from", None)
        if mask is not None and mask not in masks:
            yield f"methods.{name}.mask: {errors.unknown_name('mask', mask, masks)}"
        if dataset is not None and dataset not in datasets:
            yield f"methods.{name}.mask_from: {errors.unknown_name('dataset', dataset, datasets)}"
    for name in masks:
        # On which dataset a mask is found makes no difference: a chain that comes back to its
        # name never ends.
        inside = mask_uses.parts(config, mask_uses.Use(name, ""))
        for part in inside:
            if part.mask not in masks:
                yield f"masks.{name}.of: {errors.unknown_name('mask', part.mask, masks)}"
            if part.dataset and part.dataset not in datasets:
                yield f"masks.{name}.of: {errors.unknown_name('dataset', part.dataset, datasets)}"
        if name in {use.mask for part in inside for use in mask_uses.closure(config, part)}:
            chain = ", ".join(part.mask for part in inside)
            yield (
                f"masks.{name}.of: this mask is made of itself ({chain}); name masks that don't"
                " lead back to it"
            )


def _unranked_parts(config: Config) -> Iterator[str]:
    """A union that is topped up takes more neurons from its parts, which must have an order for
    that.
    """
    for name, mask in config.masks.items():
        for part in (
            mask_uses.parts(config, mask_uses.Use(name, ""))
            if getattr(mask, "refill", False)
            else ()
        ):
            if "masks" in mask_uses.reads(config, part.mask):
                yield (
                    f"masks.{name}.refill: '{part.mask}' (kind {config.masks[part.mask].kind})"
                    " ranks no neurons of its own, so that there is no next one to take; name"
                    " masks that do, or leave refill out"
                )


def _unfit_datasets(config: Config) -> Iterator[str]:
    """Where a mask is found there must be rows to find it with, and classes where its selector
    looks at classes.
    """
    found: dict[str, None] = {}
    for mask, name in dict.fromkeys(
        part for use in _asked_for(config) for part in mask_uses.closure(config, use)
    ):
        # A name that isn't there is reported where it is named.
        if name not in config.datasets or mask not in config.masks:
            continue
        dataset = config.datasets[name]
        splits = {split for what in mask_uses.reads(config, mask) for split in SPLITS.get(what, ())}
        for split in sorted(splits):
            if getattr(dataset.splits, split) == 0:
                found[
                    f"datasets.{name}.splits.{split}: mask '{mask}' is found with it, so it needs"
                    " at least 1 row, got 0"
                ] = None
        task = plugins.load("tasks", dataset.task.kind)
        if "states" in mask_uses.reads(config, mask) and not task.choices(dataset.task):
            found[
                f"masks.{mask}.kind: '{config.masks[mask].kind}' tells classes apart, but the task"
                f" of dataset '{name}' (kind {dataset.task.kind}) has no fixed list of answers"
            ] = None
    yield from found


def _asked_for(config: Config) -> Iterator[mask_uses.Use]:
    """The masks that experiments and analyses use."""
    tuned = [
        (method, experiment.train)
        for experiment in config.experiments
        for method in experiment.methods
    ]
    for ranks in config.analyses.ranks.values():
        tuned += [
            (side.method, side.dataset or ranks.dataset)
            for pair in ranks.pairs
            for side in (pair.a, pair.b)
        ]
    for method, train in tuned:
        use = mask_uses.of_method(config, method, train) if method in config.methods else None
        if use:
            yield use
    for overlaps in config.analyses.overlaps.values():
        yield from (
            mask_uses.Use(side.mask, side.dataset or overlaps.dataset)
            for pair in overlaps.pairs
            for side in (pair.a, pair.b)
        )
        yield from (
            mask_uses.Use(mask, overlaps.dataset)
            for pair in overlaps.pairs
            for mask in pair.references
        )
