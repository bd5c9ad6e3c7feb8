"""Plug-ins: one file each in the folders of `FAMILIES`, found by name.

Adding a file adds the plug-in; nothing else has to know of it. A plug-in imports torch and the like
inside its functions, because the workflow reads every plug-in's `Spec` (its options) each time
Snakemake starts.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from neft.errors import NeftError, unknown_name

FAMILIES = {
    "sources": "neft.data.sources",
    "tasks": "neft.data.tasks",
    "methods": "neft.training.methods",
    "selectors": "neft.selection.selectors",
    "metrics": "neft.scoring.metrics",
    "tables": "neft.paper.tables",
}
"""Where the plug-ins of each family lie."""


def module(family: str, name: str) -> str:
    """The module of a plug-in."""
    return f"{FAMILIES[family]}.{name}"


def available(family: str) -> list[str]:
    """Names of the plug-ins of a family ("methods", "selectors", …), sorted."""
    folder = Path(__file__).parent.joinpath(*FAMILIES[family].split(".")[1:])
    return sorted(p.stem for p in folder.glob("*.py") if p.stem != "__init__")


def load(family: str, name: str) -> ModuleType:
    """Import the plug-in `name` of `family`. Raises NeftError, naming what there is, if there is no
    such file.
    """
    if name not in available(family):
        raise NeftError(unknown_name(family.removesuffix("s"), name, available(family)))
    return importlib.import_module(module(family, name))


def settings(family: str, block: Mapping[str, Any]) -> Any:
    """A block of plain values, as it crossed a process border, as the `Spec` of its plug-in again.
    Raises NeftError for values that the `Spec` doesn't allow.
    """
    from pydantic import ValidationError

    from neft.schema import listed

    try:
        return load(family, block["kind"]).Spec.model_validate(block)
    except ValidationError as error:
        raise NeftError(f"{family.removesuffix('s')} {block['kind']}: {listed(error)}") from None


def block(family: str) -> Any:
    """For a field of a script's `Spec` (`method: Annotated[Any, plugins.block("methods")]`): a
    block of plain values becomes the `Spec` of its plug-in, of which no other is loaded.
    """
    from pydantic import PlainValidator

    return PlainValidator(partial(settings, family))


def spec_type(family: str, without: Collection[str] = ()) -> Any:
    """The type of a block of the configuration with a `kind`: the `Spec` of any plug-in of a
    family, or of all but some.
    """
    from pydantic import Field

    specs = [load(family, name).Spec for name in available(family) if name not in without]
    result = specs[0]
    for spec in specs[1:]:
        result = result | spec
    return Annotated[result, Field(discriminator="kind")] if len(specs) > 1 else result
