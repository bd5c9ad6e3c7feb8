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
    on this very dataset, with the first seed.
    """
    found: dict[str, Use] = {}
    for experiment in config.experiments:
        for method in (
            experiment.methods if (experiment.model, experiment.train) == (model, train) else ()
        ):
            use = of_method(config, method, train)
            if use is None or (reading and reading not in reads(config, use.mask)):
                continue
            other = use.dataset != train or variant(config, use.mask)
            first = config.seeds[0]
            if reading == "distances" and (other or seed(config, use.mask, first) != first):
                continue
            found[use.mask if use.dataset == train else f"{use.mask} ({use.dataset})"] = use
    return found


def variant(config: Config, mask: str, control: str | None = None) -> str:
    """What the paths of a mask's probe have behind the seed: nothing, or "-step8" where it looks at
    an early step, "-noise" where the probe is a control; both, in the order "-noise-step8".

    control: that of another probe which the mask looks at too.
    """
    settings = config.masks[mask]
    kind = control or getattr(settings, "probe", "task")
    early = getattr(settings, "step", None)
    return ("" if kind == "task" else f"-{kind}") + (
        f"-step{early}" if early and early != config.probe.steps else ""
    )


def early(config: Config, mask: str) -> bool:
    """Whether a mask looks at a step of the probe before its last."""
    return "-step" in variant(config, mask)


def seed(config: Config, mask: str, run: Any) -> Any:
    """The seed of what finds a mask: its own, or that of the run."""
    own = getattr(config.masks[mask], "seed", None)
    return run if own is None else own
