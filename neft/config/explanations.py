"""What pydantic found wrong with a configuration, in the words of the file that the user wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from neft import errors
from neft.config.model import SCHEMA

NAMES = (
    "a name starts with a letter or digit and holds only letters, digits, dots, hyphens and"
    " underscores"
)


class Place(NamedTuple):
    """Where in the file an error lies."""

    path: list[str]
    value: Any
    """What stands there."""
    schema: dict[str, Any]
    """What may stand there."""

    @property
    def key(self) -> str:
        """The path as messages write it."""
        return ".".join(self.path)


def explain(error: Any, values: Any) -> tuple[str, str]:
    """The key, and what is wrong with it, of one of the errors that pydantic found in `values`."""
    place = _locate(error, values)
    if error["loc"][-1] == "[key]":
        return place.key, NAMES
    return _MESSAGES.get(error["type"], _not_allowed)(error, place)


def _locate(error: Any, values: Any) -> Place:
    """Follow an error's location through values and schema at once. Steps that are no place in the
    file (the tag of a union, "[key]") are followed in the schema alone.
    """
    path, value, schema = [], values, SCHEMA
    for number, step in enumerate(error["loc"], start=1):
        kind = error["type"] if number == len(error["loc"]) else None
        if isinstance(value, dict):  # YAML reads a key 0 as a number
            step = next((key for key in value if str(key) == step), step)
        if _has(value, step):
            value = value[step]
        elif kind not in ("missing", "extra_forbidden"):
            schema = _below(schema, step)
            continue
        path.append(str(step))
        if kind != "extra_forbidden":  # else the schema is that of the block with the key
            schema = _below(schema, step)
    return Place(path, value, schema)


def _has(value: Any, step: Any) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)


def _unknown_key(error: Any, place: Place) -> tuple[str, str]:
    known = sorted(_resolve(place.schema)["properties"])
    return place.key, errors.unknown_name("key", place.path[-1], known)


def _missing_key(error: Any, place: Place) -> tuple[str, str]:
    return place.key, "this key is needed but missing"


def _missing_kind(error: Any, place: Place) -> tuple[str, str]:
    kinds = ", ".join(_kinds(place.schema))
    return f"{place.key}.kind", f"this key is needed but missing; available: {kinds}"


def _unknown_kind(error: Any, place: Place) -> tuple[str, str]:
    kind = error["ctx"]["tag"]
    return f"{place.key}.kind", errors.unknown_name("kind", kind, _kinds(place.schema))


def _not_allowed(error: Any, place: Place) -> tuple[str, str]:
    # Lists are tuples inside, which is no concern of the user's.
    message = error["msg"].removeprefix("Value error, ").replace("Input should", "should")
    message = message.replace("valid tuple", "list").replace("Tuple", "list")
    shown = json.dumps(place.value, ensure_ascii=False, default=str)[:120]
    return place.key, f"{message}, got {shown}"


_MESSAGES: dict[str, Callable[[Any, Place], tuple[str, str]]] = {
    "extra_forbidden": _unknown_key,
    "missing": _missing_key,
    "union_tag_not_found": _missing_kind,
    "union_tag_invalid": _unknown_kind,
}
"""By pydantic's type of error; the others are about a value."""


def _resolve(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _below(schema: dict[str, Any], step: Any) -> dict[str, Any]:
    """The part of the JSON schema that describes what lies under one key, index or union tag."""
    schema = _resolve(schema)
    for option in schema.get("anyOf", []):
        if "$ref" in option:
            schema = _resolve(option)
    if step in schema.get("properties", {}):
        return dict(schema["properties"][step])
    if "discriminator" in schema and step in schema["discriminator"]["mapping"]:
        return {"$ref": schema["discriminator"]["mapping"][step]}
    rest: Any = (
        schema.get("additionalProperties")
        or schema.get("items")
        or next(iter(schema.get("patternProperties", {}).values()), {})
    )
    return rest if isinstance(rest, dict) else {}


def _kinds(schema: dict[str, Any]) -> list[str]:
    return sorted(_resolve(schema).get("discriminator", {}).get("mapping", {}))
