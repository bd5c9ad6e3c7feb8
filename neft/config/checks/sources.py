"""Mistakes in where models and data come from: unfit sources, absent files, one file with two
hashes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neft import errors, plugins

if TYPE_CHECKING:
    from neft.config.model import Config

SKEW = 10
"""Seconds that the clocks of two machines may differ."""


def mistakes(config: Config) -> Iterator[str]:
    """A source must offer what its block is for, name only columns that the task has, and lie where
    it says.
    """
    leaves: list[tuple[str, str, Any, tuple[str, ...]]] = []
    for name, model in config.models.items():
        key, plugin = f"models.{name}.source", plugins.load("sources", model.source.kind)
        if hasattr(plugin, "PARTS"):
            yield f"{key}: this is a source for a dataset, but a model is needed"
        else:
            leaves.append((key, "model", model.source, ()))
    for name, dataset in config.datasets.items():
        key, source, fields = (
            f"datasets.{name}.source",
            dataset.source,
            plugins.load("tasks", dataset.task.kind).FIELDS,
        )
        plugin = plugins.load("sources", source.kind)
        if hasattr(plugin, "PARTS"):
            if len(fields) != plugin.GIVES:
                yield (
                    f"{key}.kind: `{source.kind}` gives {plugin.GIVES} fields, but the task asks"
                    f" for {', '.join(fields)}"
                )
            asked = plugin.part_fields(source)
            leaves += [
                (f"{key}.{part}", "dataset", getattr(source, part), asked) for part in plugin.PARTS
            ]
        else:
            leaves.append((key, "dataset", source, fields))
    for leaf in leaves:
        yield from _source(*leaf, config.data)
    yield from _contradicting_pins([(key, source) for key, _, source, _ in leaves])


def _contradicting_pins(sources: list[tuple[str, Any]]) -> Iterator[str]:
    """A version of a package is fetched once, so all that is read from it must agree on its
    hash.
    """
    pins: dict[tuple[str, str, str], tuple[str, str]] = {}
    for key, source in sources:
        if source.kind == "wheel":
            first, sha256 = pins.setdefault(
                (source.package, source.version, source.suffix), (key, source.sha256)
            )
            if sha256 != source.sha256:
                yield (
                    f"{key}.sha256: {source.package} {source.version} has another hash in {first};"
                    " one file can't have both"
                )


def _source(key: str, use: str, source: Any, fields: tuple[str, ...], folder: str) -> Iterator[str]:
    plugin = plugins.load("sources", source.kind)
    if use not in plugin.serves(source):
        yield (
            f"{key}: this is a source for a {' or '.join(plugin.serves(source))}, but a {use} is"
            " needed"
        )
        return
    aligned = getattr(source, "paths", None)
    named = {
        "columns": source.columns,
        "values": source.values,
        "paths": aligned if isinstance(aligned, dict) else {},
    }
    if use == "dataset":
        yield from (
            f"{key}.{k}: {errors.unknown_name('field', f, list(fields))}"
            for k in named
            for f in named[k]
            if f not in fields
        )
        if named["paths"] and (
            missing := [field for field in fields if field not in named["paths"]]
        ):
            yield f"{key}.paths: no file for the field {', '.join(missing)}"
    for path in plugin.local_paths(source, folder):
        if not Path(path).exists():
            yield f"{key}: no such file or folder: {path}"
            continue
        # Snakemake would fail the job when it is done: what it made is older than what it was made
        # of.
        for file in [Path(path), *(Path(path).iterdir() if Path(path).is_dir() else ())]:
            if file.exists() and file.stat().st_mtime > time.time() + SKEW:
                when = datetime.fromtimestamp(file.stat().st_mtime).isoformat(" ", "seconds")
                yield (
                    f"{key}: {file} is from the future ({when}): set this machine's clock, or"
                    " `touch` the file"
                )
