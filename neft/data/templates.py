"""Templates of prompts: text with {fields} of a row in it."""

from __future__ import annotations

import string
from collections.abc import Callable

from pydantic import AfterValidator


def template(*needed: str, allowed: tuple[str, ...] = ()) -> AfterValidator:
    """A pydantic check: every `needed` field stands in the template as {field}, and none but these
    and the `allowed` ones.
    """
    return AfterValidator(_check(needed, allowed))


def chat(system: str | None, text: str) -> list[dict[str, str]]:
    """The system message, if there is one, and the user's."""
    opening = [{"role": "system", "content": system}] if system else []
    return [*opening, {"role": "user", "content": text}]


def _check(needed: tuple[str, ...], allowed: tuple[str, ...]) -> Callable[[str], str]:
    known = [f"{{{name}}}" for name in (*needed, *allowed)]

    def check(text: str) -> str:
        try:
            places = [place for place in string.Formatter().parse(text) if place[1] is not None]
        except ValueError as error:
            raise ValueError(f"not a template ({error}); write {{{{ and }}}} for braces") from error
        for _, name, form, conversion in places:
            shown = (
                f"{{{name}{'!' + conversion if conversion else ''}{':' + form if form else ''}}}"
            )
            if shown not in known:
                raise ValueError(
                    f"unknown placeholder {shown}; allowed: {', '.join(known)} ({{{{ and }}}} for"
                    " braces)"
                )
        missing = [f"{{{name}}}" for name in needed if name not in {place[1] for place in places}]
        if missing:
            raise ValueError(f"needs {', '.join(missing)}: where the text of the row goes")
        return text

    return check
