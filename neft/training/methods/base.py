"""The untuned model: the reference for what tuning adds. Never trained."""

from __future__ import annotations

from typing import Literal

from neft.schema import Strict


class Spec(Strict):
    """The untuned model, as a row of its own in every table."""

    kind: Literal["base"]
    """The plug-in's name."""
