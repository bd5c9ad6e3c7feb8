"""What a ranking follows, against scikit-learn's explained variance of group means."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import OneHotEncoder

from neft.selection import explained

KEYS = [f"model.layers.{layer}.mlp.{kind}_proj" for layer in (0, 1, 2) for kind in ("up", "down")]


def test_shares_are_the_r2_of_groups_means():
    draw = torch.Generator().manual_seed(1)
    norms = {key: torch.rand(50, generator=draw) for key in KEYS}
    scores = {
        key: -norms[key] + torch.rand(50, generator=draw) + n // 2 for n, key in enumerate(KEYS)
    }
    found = explained.shares(scores, norms)
    ranks = rankdata(np.concatenate([scores[key].numpy() for key in KEYS]))
    groups = {
        "norm": (rankdata(np.concatenate([norms[key].numpy() for key in KEYS])) - 1) // 30,
        "layer": np.repeat([0, 0, 1, 1, 2, 2], 50),
        "module": np.repeat(range(6), 50),
    }
    for name, group in groups.items():
        dummies = OneHotEncoder().fit_transform(group[:, None])
        r2 = LinearRegression().fit(dummies, ranks).score(dummies, ranks)
        assert found[name] == pytest.approx(r2), name
    assert found["layer"] > 0.8


def test_equal_scores_follow_nothing():
    same = {key: torch.ones(10) for key in KEYS}
    assert set(explained.shares(same, same).values()) == {0.0}
