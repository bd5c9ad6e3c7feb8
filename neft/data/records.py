"""From a source to the records of a task, whatever the source: columns become fields, parts of a
derived source are joined.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from neft import plugins
from neft.data import readers

Record = dict[str, str]


def read(
    source: Any, paths: Sequence[Path], shares: Sequence[int], task: ModuleType
) -> tuple[Iterable[Record], dict[str, Any]]:
    """Records of a task, and what a derived source counted while it was made.

    source: the `Spec` of a plug-in of `sources`; paths: what each part is read from, one
    after the other; shares: how many of them each part has. Raises NeftError, with the place, on
    what can't be read and on a column that isn't there.
    """
    plugin, structured = plugins.load("sources", source.kind), getattr(task, "STRUCTURED", ())
    if not hasattr(plugin, "PARTS"):
        return _records(
            source,
            paths,
            task.FIELDS,
            structured,
            "source",
            task.OPTIONAL,
            getattr(task, "check", None),
        ), {}
    streams, start = [], 0
    for name, share in zip(plugin.PARTS, shares, strict=True):
        # Keys of a join are often numbers: as text they serve as well.
        fields = plugin.part_fields(source)
        streams.append(
            _records(
                getattr(source, name),
                paths[start : start + share],
                fields,
                fields,
                f"source.{name}",
            )
        )
        start += share
    records, counts = plugin.join(source, streams, task.FIELDS)
    return records, counts


def _records(
    source: Any,
    paths: Sequence[Path],
    fields: Sequence[str],
    structured: Collection[str],
    key: str,
    optional: Collection[str] = (),
    check: Callable[[Record, str], None] | None = None,
) -> Iterator[Record]:
    named = source.columns
    columns = readers.columns_of(fields, named, f"{key}.columns")
    for row in plugins.load("sources", source.kind).rows(source, list(paths)):
        # Not every set of instructions has a column of inputs; one that the user names must be
        # there.
        absent = dict.fromkeys((f for f in optional if f not in named and f not in row[1]), "")
        present = {field: column for field, column in columns.items() if field not in absent}
        record = readers.pick(row, present, source.values, structured) | absent
        if check and all(record.values()):  # one with an empty text will be dropped
            check(record, row[0])
        yield record
