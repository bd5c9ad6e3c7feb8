import subprocess
import sys

import pytest
from pydantic import ValidationError

from neft import plugins
from neft.generation.settings import Generation
from neft.training.settings import Training

METHODS = plugins.available("methods")


def test_importing_every_spec_imports_nothing_heavy():
    code = "import sys; from neft import plugins; from neft.training import settings\n"
    code += "for name in plugins.available('methods'): plugins.load('methods', name)\n"
    code += "sys.exit(sorted({'torch', 'transformers', 'numpy', 'peft'} & sys.modules.keys()) or 0)"
    scripts = plugins.__file__.rsplit("/neft/", 1)[0]
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": scripts}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", [kind for kind in METHODS if kind != "base"])
@pytest.mark.parametrize(
    "rate, trials", [(1e-3, 1e-3), ([1e-3, 1e-4], (1e-3, 1e-4)), ("1e-4", 1e-4)]
)
def test_a_learning_rate_may_be_a_grid(kind: str, rate: object, trials: object):
    options = {"lora": {"rank": 8}, "neft": {"mask": "m"}}.get(kind, {})
    assert (
        plugins.load("methods", kind).Spec(kind=kind, learning_rate=rate, **options).learning_rate
        == trials
    )


@pytest.mark.parametrize("rate", [0, -1e-3, [], [1e-3, 0], "fast", None])
def test_a_learning_rate_that_cannot_be_is_refused(rate: object):
    with pytest.raises(ValidationError, match="learning_rate"):
        plugins.load("methods", "full").Spec(kind="full", learning_rate=rate)


def test_micro_batches_must_fill_a_batch():
    assert Training(batch_size=8, micro_batch_size=4).micro_batch_size == 4
    with pytest.raises(ValidationError, match="micro_batch_size 3 does not divide batch_size 8"):
        Training(batch_size=8, micro_batch_size=3)


@pytest.mark.parametrize("kind", METHODS)
def test_every_option_of_a_method_is_documented(kind: str):
    fields = plugins.load("methods", kind).Spec.model_fields
    assert all(field.description for field in fields.values())


def test_answers_are_in_float32_unless_the_config_says_otherwise():
    """On a GPU too: in bfloat16 they would depend on which prompts share a batch."""
    assert Generation().precision == "float32"
    assert Generation(precision="bfloat16").precision == "bfloat16"
    with pytest.raises(ValidationError, match="precision"):
        Generation(precision="auto")
