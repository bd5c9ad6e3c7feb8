"""Plug-ins: one file each in `neft/{methods,selectors,tasks,metrics,sources,tables}/`, found by name.

Adding a file adds the plug-in; nothing else has to know of it. A plug-in imports torch and the like inside its functions,
because the workflow reads every plug-in's `Spec` (its options) each time Snakemake starts.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from neft.errors import NeftError


def available(family: str) -> list[str]:
    """Names of the plug-ins of a family ("methods", "selectors", …), sorted."""
    folder = Path(__file__).parent / family
    return sorted(p.stem for p in folder.glob("*.py") if p.stem != "__init__")


def unknown(what: str, name: object, names: list[str]) -> str:
    """The message for a name that is not there: says the nearest and all that are."""
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    return f"unknown {what} '{name}'{hint}; available: {', '.join(names)}"


def load(family: str, name: str) -> ModuleType:
    """Import the plug-in `name` of `family`. Raises NeftError, naming what there is, if there is no such file."""
    if name not in available(family):
        raise NeftError(unknown(family.removesuffix("s"), name, available(family)))
    return importlib.import_module(f"neft.{family}.{name}")


def union(family: str, without: Collection[str] = ()) -> Any:
    """The type of a block of the configuration with a `kind`: the `Spec` of any plug-in of a family, or of all but some."""
    from pydantic import Field

    specs = [load(family, name).Spec for name in available(family) if name not in without]
    result = specs[0]
    for spec in specs[1:]:
        result = result | spec
    return Annotated[result, Field(discriminator="kind")] if len(specs) > 1 else result
