"""Which masks a configuration asks for, and on which dataset each is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from neft import plugins

if TYPE_CHECKING:
    from neft.config.model import Config


class Use(NamedTuple):
    """A mask, and the dataset on which its neurons are found."""

    mask: str
    dataset: str


def of_method(config: Config, method: str, train: str) -> Use | None:
    """The mask that a method trains on the dataset `train`, if it trains one."""
    settings = config.methods[method]
    mask = getattr(settings, "mask", None)
    return Use(mask, getattr(settings, "mask_from", None) or train) if mask else None


def named(mask: Any) -> tuple[Any, ...]:
    """What the settings of a mask name under `of`, its one mask or several: keys of `masks`, or
    pairs of such a key and a dataset.
    """
    entries = getattr(mask, "of", ())
    return entries if isinstance(entries, tuple) else (entries,)


def parts(config: Config, use: Use) -> list[Use]:
    """The masks that a mask is made of or drawn like; none of most."""
    return [
        Use(entry, use.dataset) if isinstance(entry, str) else Use(entry.mask, entry.dataset)
        for entry in named(config.masks.get(use.mask))
    ]


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
    """The parts of a union that is topped up: it looks at their scores itself. None for any other
    mask.
    """
    return parts(config, use) if getattr(config.masks[use.mask], "refill", False) else []


def shown(config: Config, model: str, train: str, reading: str | None = None) -> dict[str, Use]:
    """The masks that methods train on one dataset, by the names that figures show.

    reading: only those whose selector reads this, and of "distances" only those of the probe's end
    on this very dataset.
    """
    found: dict[str, Use] = {}
    for experiment in config.experiments:
        for method in (
            experiment.methods if (experiment.model, experiment.train) == (model, train) else ()
        ):
            use = of_method(config, method, train)
            if use is None or (reading and reading not in reads(config, use.mask)):
                continue
            if reading == "distances" and (use.dataset != train or step(config, use.mask)):
                continue
            found[use.mask if use.dataset == train else f"{use.mask} ({use.dataset})"] = use
    return found


def step(config: Config, mask: str) -> str:
    """What the paths of a mask's probe have behind the seed: nothing, or "-step8" where it looks at
    an early step.
    """
    early = getattr(config.masks[mask], "step", None)
    return f"-step{early}" if early and early != config.probe.steps else ""
