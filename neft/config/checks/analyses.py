"""Mistakes in the `analyses` block of a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from neft import errors, plugins

if TYPE_CHECKING:
    from neft.config.model import Config


def mistakes(config: Config) -> Iterator[str]:
    """Every name in an analysis must exist, its splits must have rows, and the two sides of a pair
    must differ.
    """
    groups: dict[str, Any] = {"method": config.methods, "mask": config.masks}
    analyses = config.analyses
    both: list[tuple[str, dict[str, Any]]] = [
        ("ranks", dict(analyses.ranks)),
        ("overlaps", dict(analyses.overlaps)),
    ]
    for group, blocks in both:
        # What a mask needs of its data set follows from its selector (neft.config.mask_uses).
        what, splits = ("method", ("train", "dev")) if group == "ranks" else ("mask", ())
        for name, block in blocks.items():
            key = f"analyses.{group}.{name}"
            if block.model not in config.models:
                yield (
                    f"{key}.model: {errors.unknown_name('model', block.model, list(config.models))}"
                )
            yield from _rows(config, f"{key}.dataset", block.dataset, dict.fromkeys(splits, 1))
            for number, pair in enumerate(block.pairs):
                place = f"{key}.pairs.{number}"
                for named in getattr(pair, "references", ()):
                    if named not in config.masks:
                        known = list(config.masks)
                        yield f"{place}.references: {errors.unknown_name('mask', named, known)}"
                if pair.a == pair.b:
                    yield f"{place}: a and b are the same {what}"
                for letter, side in (("a", pair.a), ("b", pair.b)):
                    named = getattr(side, what)
                    if named not in groups[what]:
                        yield (
                            f"{place}.{letter}.{what}:"
                            f" {errors.unknown_name(what, named, list(groups[what]))}"
                        )
                    if side.dataset:
                        yield from _rows(
                            config,
                            f"{place}.{letter}.dataset",
                            side.dataset,
                            dict.fromkeys(splits, 1),
                        )
    for name, ranks in analyses.ranks.items():
        # A data set that isn't there was named already, unless it is named here alone.
        if ranks.sample or ranks.dataset in config.datasets:
            key = f"analyses.ranks.{name}.{'sample' if ranks.sample else 'dataset'}"
            read = analyses.utilization
            yield from _rows(
                config, key, ranks.sample or ranks.dataset, {read.split: read.rows or 1}
            )


def _rows(config: Config, key: str, name: str, rows: dict[str, int]) -> Iterator[str]:
    """A data set that must be there, be no benchmark, and have so many rows in these splits."""
    if name not in config.datasets:
        yield f"{key}: {errors.unknown_name('dataset', name, list(config.datasets))}"
        return
    dataset = config.datasets[name]
    if hasattr(plugins.load("tasks", dataset.task.kind), "benchmark"):
        yield f"{key}: '{name}' is of kind {dataset.task.kind}, which can only be tested"
        return
    for split, needed in rows.items():
        found = getattr(dataset.splits, split)
        if found < needed:
            many = "1 row" if needed == 1 else f"{needed} rows"
            yield f"datasets.{name}.splits.{split}: {key} needs at least {many}, got {found}"
