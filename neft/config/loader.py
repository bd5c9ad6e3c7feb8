"""From the parsed YAML to a checked configuration, or to one message that names every mistake."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from neft.config.checks import whole
from neft.config.explanations import explain
from neft.config.model import Config
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
            key, message = explain(one, values)
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
