from __future__ import annotations

import pytest

from neft.errors import NeftError
from neft.scoring.metrics import ifeval

ROWS = [
    {"id": 0, "strict": [True], "loose": [True]},
    {"id": 1, "strict": [True, False, False], "loose": [True, True, False]},
    {"id": 2, "strict": [False, False], "loose": [True, True]},
    {"id": 3, "strict": [True, True], "loose": [True, True]},
]


def spec(**options):
    return ifeval.Spec.model_validate({"kind": "ifeval", **options})


@pytest.mark.parametrize(
    "options, value, segments",
    [
        ({}, 50.0, [100, 0, 0, 100]),
        ({"strict": False}, 75.0, [100, 0, 100, 100]),
        ({"level": "instruction"}, 100 * 4 / 8, [100, 100 / 3, 0, 100]),
        ({"level": "instruction", "strict": False}, 100 * 7 / 8, [100, 200 / 3, 100, 100]),
    ],
)
def test_the_four_accuracies_by_hand(options, value, segments):
    score = ifeval.score(ROWS, spec(**options), "en")
    assert score.value == pytest.approx(value)
    assert score.segments == pytest.approx(segments)
    assert score.low <= score.value <= score.high


@pytest.mark.parametrize("level", ["prompt", "instruction"])
def test_values_and_the_prompts_error_are_lm_evals(level):
    from lm_eval.api.metrics import mean_stderr
    from lm_eval.tasks.ifeval.utils import agg_inst_level_acc

    score = ifeval.score(ROWS, spec(level=level), "en")
    strict = [row["strict"] for row in ROWS]
    if level == "prompt":
        assert score.standard_error == pytest.approx(
            100 * mean_stderr([float(all(one)) for one in strict])
        )
    else:
        assert score.value == pytest.approx(100 * agg_inst_level_acc(strict))


def test_instructions_of_one_prompt_are_no_independent_evidence():
    """Ten copies of an instruction in each prompt leave error and interval as they are with one."""
    once = [{"id": n, "strict": [n % 3 == 0]} for n in range(30)]
    tenfold = [{"id": row["id"], "strict": row["strict"] * 10} for row in once]
    a, b = (ifeval.score(rows, spec(level="instruction"), "en") for rows in (once, tenfold))
    assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high))
    assert a.standard_error == pytest.approx(b.standard_error)


def test_the_standard_error_is_that_of_the_resamples():
    import numpy as np

    draw = np.random.default_rng(3)
    rows = [
        {"id": n, "strict": (draw.random(draw.integers(1, 4)) < 0.6).tolist()} for n in range(300)
    ]
    score = ifeval.score(rows, spec(level="instruction"), "en")
    assert score.standard_error == pytest.approx((score.high - score.low) / 2 / 1.96, rel=0.1)


def test_rows_without_verdicts_are_named():
    with pytest.raises(NeftError, match="row 7: metric ifeval needs `loose`"):
        ifeval.score([{"id": 7, "strict": [True]}], spec(strict=False), "en")


def test_the_title_says_which_of_the_four():
    assert ifeval.title(spec(level="instruction", strict=False)) == "IFEval (instruction, loose)"
