"""What the commands of `python -m neft` do: each takes the parsed arguments and returns the text to
print.
"""

from __future__ import annotations

import json
import math
import re
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neft.errors import NeftError

# Heavy imports are in the functions: `neft --help` answers at once.
if TYPE_CHECKING:
    from neft.core.delta import Delta
    from neft.core.mask import NeuronMask


def info(args: Namespace) -> str:
    """Describe a mask or a delta."""
    from neft.core.delta import Delta
    from neft.core.mask import NeuronMask
    from neft.storage import sealed

    if sealed.format_of(args.file) == "mask":
        return _mask_info(args.file, NeuronMask.load(args.file), args.base)
    if sealed.format_of(args.file) in ("delta", None):  # None: loading says what is wrong
        return _delta_info(args.file, Delta.load(args.file), args.base)
    raise NeftError(
        f"{args.file}: expected a mask or a delta, found {sealed.format_of(args.file)!r}"
    )


def merge(args: Namespace) -> str:
    """Write the base with a delta in it."""
    from neft.core import merging
    from neft.core.delta import Delta

    merging.merge(args.base, Delta.load(args.delta), args.out, replace=args.force)
    return f"wrote {args.out}"


def diff(args: Namespace) -> str:
    """Write the delta between two models."""
    from neft.core import merging

    _check_free(args.out, args.force)
    delta = merging.diff(args.base, args.tuned)
    delta.save(args.out)
    return (
        f"wrote {args.out}: {delta.parameters:,} parameters changed, {args.out.stat().st_size:,}"
        " bytes"
    )


def export(args: Namespace) -> str:
    """Write a delta as a LoRA adapter."""
    from neft.core.delta import Delta
    from neft.core.export import to_lora

    ranks = to_lora(args.base, Delta.load(args.delta), args.out, args.rank, replace=args.force)
    return (
        f"wrote {args.out}: {len(ranks)} modules, rank {min(ranks.values())} to"
        f" {max(ranks.values())}"
    )


def combine(args: Namespace) -> str:
    """Write the union or intersection of masks."""
    from neft.core import mask
    from neft.core.mask import NeuronMask

    _check_free(args.out, args.force)
    result = {"union": mask.union, "intersection": mask.intersection}[args.operation](
        [NeuronMask.load(path) for path in args.masks]
    )
    result.save(args.out)
    return f"wrote {args.out}: {result.count:,} neurons, {result.parameters:,} parameters"


def overlap(args: Namespace) -> str:
    """Compare two masks."""
    from neft.core import mask
    from neft.core.mask import NeuronMask

    found = mask.overlap(*(NeuronMask.load(path) for path in args.masks))
    return _columns(
        [
            ("neurons", f"{found.first:,} and {found.second:,} of {found.offered:,}"),
            ("shared", f"{found.shared:,}"),
            ("by chance", f"{found.chance:,.1f}"),
            ("by chance, with the same number per module", f"{found.chance_by_module:,.1f}"),
        ]
    )


def verify(args: Namespace) -> str:
    """Recheck every hash of experiments. Raises NeftError that names each file that isn't what was
    recorded.
    """
    from neft.results.verify import verify

    found = {
        folder: verify(folder)
        for folder in args.results or sorted(p for p in Path("results").glob("*") if p.is_dir())
    }
    if not found:
        raise NeftError("results: no experiment there yet")
    wrong = [line for one in found.values() for line in one.wrong]
    if wrong:
        checked = sum(one.checked for one in found.values())
        raise NeftError("\n  ".join([f"of {checked:,} hashes {len(wrong):,} are wrong:", *wrong]))
    made = [line for one in found.values() for line in sorted(one.made)]
    return "\n".join(
        [
            *made,
            *(
                f"{folder}: {one.checked:,} hashes, all as recorded"
                for folder, one in found.items()
            ),
        ]
    )


def _mask_info(path: Path, mask: NeuronMask, base: Path | None) -> str:
    if base is not None:
        from neft.models.identity import base_hash

        mask.check_base(base_hash(base), path)
    head = [
        ("format", "mask"),
        ("base", mask.base_hash),
        ("selector", json.dumps(mask.selector, ensure_ascii=False)),
        ("neurons", f"{mask.count:,}"),
        ("parameters", f"{mask.parameters:,}"),
        ("file", f"{path.stat().st_size:,} bytes"),
    ]
    groups = [
        *mask.counts_by_kind().items(),
        *((_layer(layer), count) for layer, count in mask.counts_by_layer().items()),
    ]
    rows = [
        (
            name,
            f"{count.chosen:,}",
            f"{count.offered:,}",
            f"{count.chosen / count.offered:.2%}",
            f"{count.parameters:,}",
        )
        for name, count in groups
    ]
    return f"{_columns(head)}\n\n{_columns([('', 'neurons', 'of', 'share', 'parameters'), *rows])}"


def _delta_info(path: Path, delta: Delta, base: Path | None) -> str:
    from neft.core.neurons import layer_of

    head = [
        ("format", "delta"),
        ("kind", delta.kind),
        ("base", delta.base_hash),
        ("parameters", f"{delta.parameters:,}"),
        ("file", f"{path.stat().st_size:,} bytes"),
    ]
    found = delta.sizes()
    groups = _grouped(found, _part) | _grouped(found, lambda name: _layer(layer_of(name)))
    rows = [
        (
            group,
            f"{len(names):,}",
            *(f"{sum(found[name][i] for name in names):,}" for i in range(2)),
        )
        for group, names in groups.items()
    ]
    tables = [_columns(head), _columns([("", "weights", "neurons", "parameters"), *rows])]
    return "\n\n".join(tables if base is None else [*tables, _change_table(base, delta)])


def _change_table(base: Path, delta: Delta) -> str:
    """How far the delta moves the base: numbers that differ, ‖W'−W‖/‖W‖ and the largest change, by
    kind of weight.
    """
    from neft.core.merging import measure

    found = measure(base, delta)
    rows = []
    for group, names in _grouped(found, _part).items():
        changes = [found[name] for name in names]
        norm, base_norm = (
            math.hypot(*values)
            for values in ([c.norm for c in changes], [c.base_norm for c in changes])
        )
        largest = max(c.largest for c in changes)
        rows.append(
            (
                group,
                f"{sum(c.moved for c in changes):,}",
                f"{norm / (base_norm or 1):.2e}",
                f"{largest:.2e}",
            )
        )
    return _columns([("change", "numbers moved", "relative norm", "largest"), *rows])


def _grouped(names: Iterable[str], group: Callable[[str], str]) -> dict[str, list[str]]:
    result: dict[str, list[str]] = {}
    for name in names:
        result.setdefault(group(name), []).append(name)
    return result


def _layer(number: int) -> str:
    return f"layer {number}" if number >= 0 else "outside the layers"


def _part(name: str) -> str:
    """A weight's name within its layer: `mlp.up_proj.weight` of
    `model.layers.3.mlp.up_proj.weight`.
    """
    return re.sub(r"^.*\.\d+\.", "", name)


def _check_free(path: Path, force: bool) -> None:
    if path.exists() and not (force and path.is_file()):
        raise NeftError(f"{path}: exists" + ("" if path.is_dir() else "; --force replaces it"))


def _columns(rows: Iterable[Sequence[str]]) -> str:
    """Rows as a table: the first column to the left, numbers to the right, two-column rows both to
    the left.
    """
    rows = list(rows)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    align = str.ljust if len(widths) == 2 else str.rjust
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(align(cell, width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
