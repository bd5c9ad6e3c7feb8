"""The shipped configuration, checked, with some of its blocks replaced."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from neft.config import loader
from neft.config.model import Config

ROOT = Path(__file__).resolve().parents[2]
SHIPPED: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())


def load(**changes: Any) -> Config:
    """The configuration of the demo with these blocks in place of its own."""
    return loader.load(copy.deepcopy(SHIPPED) | changes)
