import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_scheduler

from neft.training.rates import share_of_peak
from neft.training.settings import Training

THEIRS = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


@pytest.mark.parametrize("schedule", THEIRS)
@pytest.mark.parametrize("total", [1, 2, 7, 100])
def test_every_step_has_a_rate_above_zero_and_at_most_the_peak(schedule: str, total: int):
    for ratio in (0, 0.05, 0.5, 0.99):
        settings = Training(schedule=schedule, warmup_ratio=ratio)
        shares = [share_of_peak(step, total, settings) for step in range(total)]
        assert all(0 < share <= 1 for share in shares), (ratio, shares)


def test_the_warm_up_rises_in_equal_steps_from_zero_excluded_to_the_peak():
    settings = Training(warmup_ratio=0.25)  # 2 of 8 steps
    shares = [share_of_peak(step, 8, settings) for step in range(8)]
    assert shares == pytest.approx([1 / 3, 2 / 3, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


@pytest.mark.parametrize("schedule", THEIRS)
def test_from_the_peak_on_the_rates_are_those_of_transformers(schedule: str):
    settings = Training(schedule=schedule, warmup_ratio=0.1)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_scheduler(
        THEIRS[schedule],
        optimizer,
        num_warmup_steps=math.ceil(0.1 * 30),
        num_training_steps=30,
    )
    assert isinstance(theirs, LambdaLR)
    for step in range(3, 30):
        expected = theirs.lr_lambdas[0](step)
        assert share_of_peak(step, 30, settings) == pytest.approx(expected)
