"""From the parsed YAML to a checked configuration, or to one message that names every mistake."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from neft import errors
from neft.config.checks import whole
from neft.config.model import SCHEMA, Config
from neft.config.overlay import Layers
from neft.errors import NeftError


def load(values: dict[str, Any], where: str | Layers = "config.yaml") -> Config:
    """Check a whole configuration.

    values: the parsed YAML. where: for messages, the file's name, or the layers that the values
    were merged from, which know file and line of every key. Raises NeftError with every mistake,
    one line each: the place, the key, the value and what is allowed.
    """
    if not isinstance(values, dict):
        raise NeftError(
            f"{_place(where, '', values)}: expected keys and values, got"
            f" {json.dumps(values, ensure_ascii=False, default=str)[:120]}"
        )
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        # What may be one of several things fails once for each of them: one line says all.
        found: dict[str, list[str]] = {}
        for one in error.errors():
            key, message = _explain(one, values)
            found.setdefault(key, []).append(message)
        mistakes = [
            f"{key}: {' or '.join(dict.fromkeys(messages))}" for key, messages in found.items()
        ]
    else:
        mistakes = list(whole.mistakes(config))
    if mistakes:
        raise NeftError(
            "\n".join(f"{_place(where, mistake, values)}: {mistake}" for mistake in mistakes)
        )
    return config


def _place(where: str | Layers, mistake: str, values: Any) -> str:
    """File and line of the key that a message begins with."""
    if isinstance(where, str):
        return where
    path, rest = [], mistake.split(": ")[0]
    while isinstance(values, dict | list) and rest:
        keys = values if isinstance(values, dict) else range(len(values))
        # Names may hold dots, so the longest that fits is the step.
        fits = [key for key in keys if f"{rest}.".startswith(f"{key}.")]
        step = max(fits, key=lambda key: len(str(key)), default=None)
        if step is None:
            break
        path.append(str(step))
        rest, values = rest.removeprefix(str(step)).removeprefix("."), values[step]
    return where.place(path)


def _explain(error: Any, values: Any) -> tuple[str, str]:
    """The key and what is wrong with it, for one pydantic error."""
    path, schema = [], SCHEMA
    value: Any = values
    for place, step in enumerate(error["loc"], start=1):
        last = place == len(error["loc"])
        if isinstance(value, dict):  # YAML reads a key 0 as a number
            step = next((key for key in value if str(key) == step), step)
        if (isinstance(value, dict) and step in value) or (
            isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)
        ):
            value = value[step]
        elif error["type"] not in ("missing", "extra_forbidden") or not last:
            schema = _below(schema, step)  # the tag of a union, or "[key]": not a place in the file
            continue
        path.append(str(step))
        if error["type"] != "extra_forbidden" or not last:
            schema = _below(schema, step)
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        return key, errors.unknown_name("key", path[-1], sorted(_resolve(schema)["properties"]))
    if error["type"] == "missing":
        return key, "this key is needed but missing"
    if error["type"] == "union_tag_not_found":
        return (
            f"{key}.kind",
            f"this key is needed but missing; available: {', '.join(_tags(schema))}",
        )
    if error["type"] == "union_tag_invalid":
        return f"{key}.kind", errors.unknown_name("kind", error["ctx"]["tag"], _tags(schema))
    if error["loc"][-1] == "[key]":
        return (
            key,
            (
                "a name starts with a letter or digit and holds only letters, digits, dots, hyphens"
                " and underscores"
            ),
        )
    # Lists are tuples inside, which is no concern of the user's.
    message = error["msg"].removeprefix("Value error, ").replace("Input should", "should")
    message = message.replace("valid tuple", "list").replace("Tuple", "list")
    return key, f"{message}, got {json.dumps(value, ensure_ascii=False, default=str)[:120]}"


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


def _tags(schema: dict[str, Any]) -> list[str]:
    return sorted(_resolve(schema).get("discriminator", {}).get("mapping", {}))
