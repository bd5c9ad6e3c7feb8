"""The one exception that a user is meant to read."""

from __future__ import annotations

import difflib


class NeftError(Exception):
    """A mistake in the config, a file or a setting.

    The message says what is wrong, where (key or file) and what is allowed; the command line shows
    it without a traceback.
    """


def unknown_name(what: str, name: object, names: list[str]) -> str:
    """The message for a name that is not there: says the nearest and all that are."""
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    return f"unknown {what} '{name}'{hint}; available: {', '.join(names)}"
