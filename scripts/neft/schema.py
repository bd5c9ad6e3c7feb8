"""The base of every model that describes a piece of the config."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Unknown keys are errors, values are not changed after reading; docstrings of fields become the reference."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
