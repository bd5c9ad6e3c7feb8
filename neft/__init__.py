"""NeFT: pick the neurons of a language model that matter for a task, train only these.

Importing this package imports nothing heavy; torch comes with the first name that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neft.core.delta import Delta as Delta
    from neft.core.layers import attach as attach
    from neft.core.layers import detach as detach
    from neft.core.mask import NeuronMask as NeuronMask
    from neft.core.merging import diff as diff
    from neft.core.merging import merge as merge
    from neft.core.tuned import apply as apply
    from neft.core.tuned import revert as revert
    from neft.errors import NeftError as NeftError
    from neft.models.identity import base_hash as base_hash

_HOMES = {
    "NeftError": "errors",
    "NeuronMask": "core.mask",
    "base_hash": "models.identity",
    "attach": "core.layers",
    "detach": "core.layers",
    "Delta": "core.delta",
    "apply": "core.tuned",
    "diff": "core.merging",
    "merge": "core.merging",
    "revert": "core.tuned",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name's module the first time that the name is used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'neft' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"neft.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, for completion in a shell."""
    return __all__
