"""The settings of a script, as they cross the border between processes."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from neft import plugins
from neft.errors import NeftError
from neft.schema import Strict
from neft.script import parser


class Spec(Strict):
    method: Annotated[Any, plugins.block("methods")]
    seed: int = 1


FULL = '{"kind": "full", "learning_rate": 1e-5}'


def test_a_spec_is_read_into_its_types_and_a_block_into_that_of_its_plug_in() -> None:
    spec: Spec = parser("A script.", Spec).parse_args(["--spec", f'{{"method": {FULL}}}']).spec
    assert type(spec.method) is plugins.load("methods", "full").Spec
    assert (spec.method.learning_rate, spec.seed) == (1e-5, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'{{"method": {FULL}, "sed": 1}}', "sed: Extra inputs are not permitted"),
        (f'{{"method": {FULL}, "seed": "x"}}', "seed: Input should be a valid integer"),
        ("[]", "Input should be an object"),
        ("{", "Invalid JSON"),
    ],
)
def test_what_a_spec_cannot_be_is_said_with_its_place(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser("A script.", Spec).parse_args(["--spec", text])
    assert message in capsys.readouterr().err


def test_a_block_that_its_plug_in_does_not_take_is_named() -> None:
    with pytest.raises(NeftError, match=r"method full: learning_rate.*Input should be"):
        parser("A script.", Spec).parse_args(
            ["--spec", '{"method": {"kind": "full", "learning_rate": "x"}}']
        )
