"""Plug-ins: a block that crossed a process border is its `Spec` again, or one message."""

from __future__ import annotations

import pytest

from neft import plugins
from neft.errors import NeftError


def test_a_block_is_its_spec_again() -> None:
    assert plugins.settings("selectors", {"kind": "file", "path": "a.safetensors"}).path


def test_a_value_that_the_spec_does_not_allow_is_one_message() -> None:
    with pytest.raises(NeftError, match=r"^selector file: path: Field required; fraction: "):
        plugins.settings("selectors", {"kind": "file", "fraction": 0.1})
