"""Configuration files merged on top of each other, and where each key was written.

Like Snakemake's own merge (mappings are merged key by key, all else is replaced), with two
differences. A block whose `kind` changes starts empty: the options of another kind would be refused
as keys that its author never wrote. And of options that exclude each other the later one counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from neft.errors import NeftError

EXCLUSIVE = (frozenset({"fraction", "neurons"}),)
"""Keys of which a block has one at the most."""
OPTIONS = "--config"
"""How messages name what was given on the command line."""


@dataclass
class Layers:
    """A merged configuration that knows where it comes from."""

    values: dict[str, Any] = field(default_factory=dict)
    nodes: list[tuple[str, yaml.Node | None]] = field(default_factory=list)
    """Each layer's name and its YAML nodes, which hold lines; the last layer counts most."""

    def place(self, path: Sequence[str]) -> str:
        """Where the deepest part of a key's path was last written: "file:line", or "--config"."""
        best, depth = self.nodes[0][0] if self.nodes else OPTIONS, 0
        for name, node in self.nodes:
            line, reached, replaced = _follow(node, path)
            if reached and (reached >= depth or replaced):
                best, depth = name if name == OPTIONS else f"{name}:{line}", reached
        return best


def read(files: Sequence[str | Path], options: Mapping[str, Any] | None = None) -> Layers:
    """Merge YAML (or JSON) files in their order, then the options of a command line.

    Raises NeftError, naming file and line, for a file that is no YAML mapping and for a key that is
    written twice.
    """
    layers = Layers()
    for file in files:
        name = Path(file).name
        text = Path(file).read_text(encoding="utf-8")
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            values = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise NeftError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
        if not isinstance(values, dict | None):
            raise NeftError(f"{name}: expected keys and values, got {str(values)[:120]!r}")
        _refuse_doubles(node, name)
        merge(layers.values, values or {})
        layers.nodes.append((name, node))
    if options:
        merge(layers.values, options)
        layers.nodes.append((OPTIONS, yaml.compose(json.dumps(dict(options), default=dict))))
    return layers


def merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Change `below` in place to what it is with `above` on top of it."""
    for key, value in above.items():
        if not isinstance(value, Mapping):
            below[key] = value
            continue
        former = below.get(key)
        if not isinstance(former, dict) or value.get("kind", former.get("kind")) != former.get(
            "kind"
        ):
            former = below[key] = {}
        for keys in EXCLUSIVE:
            if keys & value.keys():
                for excluded in keys - value.keys():
                    former.pop(excluded, None)
        merge(former, value)


def _follow(node: yaml.Node | None, path: Sequence[str]) -> tuple[int, int, bool]:
    """The line of the last step of a path that is written here, how many steps are, and whether
    what lies there replaces what other layers hold (a list or a value does, a mapping adds to it).
    """
    line, reached, replaced = 1, 0, False
    for step in path:
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == step), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
            node = node.value[int(step)]
            line, replaced = node.start_mark.line + 1, True
        else:
            break
        reached += 1
    return line, reached, replaced or not isinstance(node, yaml.MappingNode)


def _refuse_doubles(node: yaml.Node | None, name: str) -> None:
    """Raise NeftError for a key that a mapping holds twice: YAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in lines and key.value != "<<":
                raise NeftError(
                    f"{name}:{line}: {key.value}: written twice (first in line {lines[key.value]})"
                )
            lines[key.value] = line
            _refuse_doubles(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_doubles(value, name)
