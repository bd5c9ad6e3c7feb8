"""From raw records to a pool of rows in a seeded order, and from the pool to its splits."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
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
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Filter records, drop duplicates and put the rest into an order that depends on the seed
    alone; None: leave it as it is.

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
    return [{"id": number, **row} for number, row in enumerate(rows)], {
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
    "train", "skip"}, train {"train", "skip"}. Raises NeftError if the pool (`where`: its name) has
    fewer rows.
    """
    asked = sum(sizes.values())
    if asked > len(rows):
        parts = " + ".join(f"{count:,} {name}" for name, count in sizes.items())
        raise NeftError(
            f"{where}: {len(rows):,} rows, but {parts} = {asked:,} are asked for; ask for fewer in"
            " `splits` or loosen `filter`"
        )
    if split == "test":
        return list(rows[: sizes["test"]])
    end = len(rows) - sizes.get("skip", 0) - (sizes["train"] if split == "dev" else 0)
    return list(rows[end - sizes[split] : end])


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
