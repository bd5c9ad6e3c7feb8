"""The base of every model that describes a piece of the config, and types that several pieces
share.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
"""A key of the config that also names files."""
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
"""An ISO 639 code."""


class Strict(BaseModel):
    """Unknown keys are errors, values are not changed after reading; docstrings of fields become
    the reference.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def listed(error: ValidationError) -> str:
    """What pydantic found wrong, with the place of each mistake, on one line."""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
