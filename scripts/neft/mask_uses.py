"""Which masks a configuration asks for, on which dataset each is found and from which files; and contradictions in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from neft import plugins

if TYPE_CHECKING:
    from neft.config import Config


SPLITS = {"distances": ("train", "dev"), "norms": ("train", "dev"), "gradients": ("train",), "states": ("train", "dev")}
"""The splits that the files are made from which a selector reads."""


class Use(NamedTuple):
    """A mask, and the dataset on which its neurons are found."""

    mask: str
    dataset: str


def of_method(config: Config, method: str, train: str) -> Use | None:
    """The mask that a method trains on the dataset `train`, if it trains one."""
    settings = config.methods[method]
    mask = getattr(settings, "mask", None)
    return Use(mask, getattr(settings, "mask_from", None) or train) if mask else None


def parts(config: Config, use: Use) -> list[Use]:
    """The masks that a mask is made of; none unless it is a union."""
    entries = getattr(config.masks.get(use.mask), "of", ())
    return [Use(entry, use.dataset) if isinstance(entry, str) else Use(entry.mask, entry.dataset) for entry in entries]


def closure(config: Config, use: Use) -> list[Use]:
    """A mask and all that it is made of, each once."""
    found: dict[Use, None] = {}
    todo = [use]
    while todo:
        one = todo.pop()
        if one not in found:
            found[one] = None
            todo += parts(config, one)
    return list(found)


def reads(config: Config, mask: str) -> frozenset[str]:
    """What a mask's selector looks at: READS of the plug-in."""
    found: frozenset[str] = plugins.load("selectors", config.masks[mask].kind).READS
    return found


def refilled_from(config: Config, use: Use) -> list[Use]:
    """The parts of a union that is topped up: it looks at their scores itself. None for any other mask."""
    return parts(config, use) if getattr(config.masks[use.mask], "refill", False) else []


def shown(config: Config, model: str, train: str, reading: str | None = None) -> dict[str, Use]:
    """The masks that methods train on one dataset, by the names that figures show.

    reading: only those whose selector reads this, and of "distances" only those of the probe's end on this very dataset.
    """
    found: dict[str, Use] = {}
    for experiment in config.experiments:
        for method in experiment.methods if (experiment.model, experiment.train) == (model, train) else ():
            use = of_method(config, method, train)
            if use is None or (reading and reading not in reads(config, use.mask)):
                continue
            if reading == "distances" and (use.dataset != train or step(config, use.mask)):
                continue
            found[use.mask if use.dataset == train else f"{use.mask} ({use.dataset})"] = use
    return found


def path(config: Config, use: Use, model: str, seed: int | str) -> str:
    """Where a mask lies, without suffix."""
    return f"results/{config.name}/mask/{model}/{use.dataset}/seed{seed}/{use.mask}"


def step(config: Config, mask: str) -> str:
    """What the paths of a mask's probe have behind the seed: nothing, or "-step8" where it looks at an early step."""
    early = getattr(config.masks[mask], "step", None)
    return f"-step{early}" if early and early != config.probe.steps else ""


def inputs(config: Config, use: Use, model: str, seed: int | str) -> dict[str, list[str]]:
    """The files that a mask's selector reads, by what they hold; of a union that is topped up those of its parts, in order."""
    found: dict[str, list[str]] = {}
    for part in refilled_from(config, use) or [use]:
        run = f"{model}/{part.dataset}/seed{seed}"
        files = {
            "distances": f"similarity/{run}{step(config, part.mask)}.safetensors",
            "norms": f"similarity/{run}{step(config, part.mask)}.norms.safetensors",
            "gradients": f"gradient/{run}/{part.mask}.safetensors",
            "states": f"states/{model}/{part.dataset}.safetensors",
            "weights": f"model/{model}",
        }
        for what in sorted(reads(config, part.mask)):
            if what == "masks":
                given = getattr(config.masks[part.mask], "path", None)
                made = [f"{path(config, one, model, seed)}.safetensors" for one in parts(config, part)]
                found.setdefault(what, []).extend([given] if given else made)
            else:
                found.setdefault(what, []).append(f"results/{config.name}/{files[what]}")
    return found


def mistakes(config: Config) -> Iterator[str]:
    """What no single key shows: names that lead nowhere, circles, steps, files and splits that aren't there."""
    unknown = [*_unknown_names(config)]
    yield from unknown
    for name, mask in config.masks.items():
        early, file = getattr(mask, "step", None), getattr(mask, "path", None)
        if early and early > config.probe.steps:
            yield f"masks.{name}.step: the probe takes {config.probe.steps} steps (probe.steps), got {early}"
        if file and not Path(file).is_file():
            yield f"masks.{name}.path: no such file: {file}"
    axes = {name: mask.axis for name, mask in config.masks.items() if hasattr(mask, "axis")}
    if len(set(axes.values())) > 1:
        yield f"masks: all masks of an experiment share one `axis`, since neurons are compared once for all; got {axes}"
    if not unknown:
        yield from _unranked_parts(config)
        yield from _unfit_datasets(config)


def _unknown_names(config: Config) -> Iterator[str]:
    """Masks and datasets that are named but not there, and masks that are made of themselves."""
    masks, datasets = list(config.masks), list(config.datasets)
    for name, method in config.methods.items():
        mask, dataset = getattr(method, "mask", None), getattr(method, "mask_from", None)
        if mask is not None and mask not in masks:
            yield f"methods.{name}.mask: {plugins.unknown('mask', mask, masks)}"
        if dataset is not None and dataset not in datasets:
            yield f"methods.{name}.mask_from: {plugins.unknown('dataset', dataset, datasets)}"
    for name in masks:
        # Found on which dataset makes no difference: a chain that comes back to a name goes round for ever.
        inside = parts(config, Use(name, ""))
        for part in inside:
            if part.mask not in masks:
                yield f"masks.{name}.of: {plugins.unknown('mask', part.mask, masks)}"
            if part.dataset and part.dataset not in datasets:
                yield f"masks.{name}.of: {plugins.unknown('dataset', part.dataset, datasets)}"
        if name in {use.mask for part in inside for use in closure(config, part)}:
            chain = ", ".join(part.mask for part in inside)
            yield f"masks.{name}.of: this mask is made of itself ({chain}); name masks that don't lead back to it"


def _unranked_parts(config: Config) -> Iterator[str]:
    """A union that is topped up takes more neurons from its parts, which must have an order for that."""
    for name, mask in config.masks.items():
        for part in parts(config, Use(name, "")) if getattr(mask, "refill", False) else ():
            if "masks" in reads(config, part.mask):
                yield (
                    f"masks.{name}.refill: '{part.mask}' (kind {config.masks[part.mask].kind}) ranks no neurons of its own, so "
                    "that there is no next one to take; name masks that do, or leave refill out"
                )


def _unfit_datasets(config: Config) -> Iterator[str]:
    """Where a mask is found there must be rows to find it with, and classes where its selector looks at classes."""
    found: dict[str, None] = {}
    for mask, name in dict.fromkeys(part for use in _asked_for(config) for part in closure(config, use)):
        # A name that isn't there is reported where it is named.
        if name not in config.datasets or mask not in config.masks:
            continue
        dataset = config.datasets[name]
        splits = {split for what in reads(config, mask) for split in SPLITS.get(what, ())}
        for split in sorted(splits):
            if getattr(dataset.splits, split) == 0:
                found[f"datasets.{name}.splits.{split}: mask '{mask}' is found with it, so it needs at least 1 row, got 0"] = (
                    None
                )
        task = plugins.load("tasks", dataset.task.kind)
        if "states" in reads(config, mask) and not task.choices(dataset.task.model_dump(mode="json")):
            found[
                f"masks.{mask}.kind: '{config.masks[mask].kind}' tells classes apart, but the task of dataset '{name}' "
                f"(kind {dataset.task.kind}) has no fixed list of answers"
            ] = None
    yield from found


def _asked_for(config: Config) -> Iterator[Use]:
    """The masks that experiments and analyses use."""
    tuned = [(method, experiment.train) for experiment in config.experiments for method in experiment.methods]
    for ranks in config.analyses.ranks.values():
        tuned += [(side.method, side.dataset or ranks.dataset) for pair in ranks.pairs for side in (pair.a, pair.b)]
    for method, train in tuned:
        use = of_method(config, method, train) if method in config.methods else None
        if use:
            yield use
    for overlaps in config.analyses.overlaps.values():
        yield from (Use(side.mask, side.dataset or overlaps.dataset) for pair in overlaps.pairs for side in (pair.a, pair.b))
