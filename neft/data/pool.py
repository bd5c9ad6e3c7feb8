"""From raw records to a pool of rows in a seeded order, and from the pool to its splits."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

from pydantic import Field, model_validator

from neft.errors import NeftError
from neft.schema import Strict

REASONS = ("empty", "several lines", "too short", "too long", "identical", "duplicate")
EDGES = " .,:;!?\"'()[]¡¿«»“”‘’。、।"


class Filter(Strict):
    """Which rows are kept. One with an empty text never is (but for fields that a task allows to be
    empty).
    """

    min_words: int = Field(0, ge=0)
    """Fewest words of the source, counted between spaces: 0 for a language that writes none."""
    max_words: int | None = Field(None, ge=1)
    """Most words of the source."""
    one_line: bool = False
    """Drop texts of more than one line."""
    drop_identical: bool = False
    """Drop rows whose answer only repeats the source: names, codes, what nobody translated."""
    drop_duplicates: bool = True
    """Drop rows whose source is like an earlier one's but for case, spaces and punctuation; off for
    a published test set.
    """

    @model_validator(mode="after")
    def _ordered(self) -> Filter:
        if self.max_words is not None and self.max_words < self.min_words:
            raise ValueError(
                f"`max_words` ({self.max_words}) is below `min_words` ({self.min_words}): no row"
                " could be kept"
            )
        return self


def make_pool(
    records: Iterable[Mapping[str, str]],
    task: ModuleType,
    keep: Filter,
    seed: int | None,
    group: Callable[[Sequence[Mapping[str, str]]], Sequence[Any]] | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Filter records, drop duplicates and put the rest into an order that depends on the seed
    alone; None: leave it as it is.

    group: gives each row a value that it has in common with those that it must stay with. Such rows
    follow each other, and have the same number as "group", by which `cut` keeps them together.

    task: the plug-in that the rows are for; two rows of like `task.source` are duplicates.
    Outer white space is dropped. Returns rows {"id": place, **fields} and counts {"read", "kept", "dropped": {reason: n}}.
    """
    read, dropped = 0, dict.fromkeys(REASONS, 0)
    rows: list[dict[str, str]] = []
    seen: set[str] = set()
    for record in records:
        read += 1
        row = {field: record[field].strip() for field in task.FIELDS}
        reason = _reason_to_drop(row, task, keep)
        if keep.drop_duplicates and not reason:
            key = likeness(task.source(row))
            reason = "duplicate" if key in seen else None
            seen.add(key)
        if reason:
            dropped[reason] += 1
        else:
            rows.append(row)
    if seed is not None:
        # Ordered by a hash of each row rather than shuffled: a row more or less leaves the order of
        # the others alone.
        rows.sort(key=lambda row: _rank(seed, task.source(row)))
    pool: list[dict[str, Any]] = [{"id": number, **row} for number, row in enumerate(rows)]
    if group is not None:
        members = group(rows)
        first: dict[Any, int] = {}
        for place, value in enumerate(members):
            first.setdefault(value, place)
        # Stable: a group stands where the first of it stood.
        order = sorted(range(len(rows)), key=lambda place: first[members[place]])
        pool = [
            {"id": number, **rows[place], "group": first[members[place]]}
            for number, place in enumerate(order)
        ]
    return pool, {
        "read": read,
        "kept": len(rows),
        "dropped": dropped,
    }


def likeness(text: str) -> str:
    """What two texts share that differ only in case, spacing or the punctuation around them.

    "Go to Line…" and "Go to line" must not end up on both sides of a split: the test set would hold
    what was trained on.
    """
    folded = " ".join(
        unicodedata.normalize("NFKC", text).casefold().split()
    )  # NFKC also makes "..." of "…"
    return folded.strip(EDGES) or folded


def cut(
    rows: Sequence[dict[str, Any]], split: str, sizes: Mapping[str, int], where: str
) -> list[dict[str, Any]]:
    """One split of a pool: test from its start, train from its end but for the rows to skip, dev
    just before train.

    So a larger test set moves no row of the others, a larger training set holds the smaller one,
    one that skips as many rows as another has shares none with it, and no split needs to know more
    than is in its `sizes`: test {"test", "reserved": rows of train, dev and skip}, dev {"dev",
    "train", "skip"}, train {"train", "skip"}.

    Rows with the same "group" are in one split alone: where a group lies across the start of train
    the rest of it is in no split, and dev ends before it; of test "train", "dev" and "skip" are
    asked for in place of "reserved". Raises NeftError if the pool (`where`: its name) has too few
    rows.
    """
    asked = sum(sizes.values())
    if asked > len(rows):
        raise NeftError(_too_few(where, rows, len(rows), sizes))
    end = len(rows)
    for name in ("skip", "train", "dev", "reserved"):
        if name not in sizes:
            continue
        start = end - sizes[name]
        if start < 0:
            raise NeftError(_too_few(where, rows, end, {name: sizes[name]}))
        if name == split:
            return list(rows[start:end])
        while start > 0 and _together(rows[start - 1], rows[start : start + 1]):
            start -= 1
        end = start
    if sizes["test"] > end:
        raise NeftError(_too_few(where, rows, end, {"test": sizes["test"]}))
    return list(rows[: sizes["test"]])


def _too_few(where: str, rows: Sequence[Any], left: int, sizes: Mapping[str, int]) -> str:
    parts = " + ".join(f"{count:,} {name}" for name, count in sizes.items())
    alone = (
        f"only {left:,} of them in no group with rows of another split, "
        if left < len(rows)
        else ""
    )
    return (
        f"{where}: {len(rows):,} rows, {alone}but {parts} = {sum(sizes.values()):,} are asked for;"
        " ask for fewer in `splits` or loosen `filter`"
    )


def _together(one: Mapping[str, Any], following: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a row is of the same group as the one that follows it, if one does."""
    return "group" in one and any(one["group"] == row["group"] for row in following)


def _reason_to_drop(row: Mapping[str, str], task: ModuleType, keep: Filter) -> str | None:
    if any(not text and field not in task.OPTIONAL for field, text in row.items()):
        return "empty"
    source, answer = task.source(row), row[task.FIELDS[-1]]
    words = len(source.split())
    if keep.one_line and any(len(text.splitlines()) > 1 for text in row.values()):
        return "several lines"
    if words < keep.min_words:
        return "too short"
    if keep.max_words is not None and words > keep.max_words:
        return "too long"
    if keep.drop_identical and source == answer:
        return "identical"
    return None


def _rank(seed: int, source: str) -> str:
    return hashlib.sha256(f"{seed}\n{source}".encode()).hexdigest()
