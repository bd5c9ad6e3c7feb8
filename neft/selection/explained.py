"""How much of a ranking follows from what is known of neurons without any data: where they lie and
how long they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from neft.core.neurons import layer_of
from neft.selection.base_vectors import DECILES


def shares(scores: Mapping[str, Tensor], norms: Mapping[str, Tensor]) -> dict[str, float]:
    """The share of the variance of neurons' ranks that lies between groups (the correlation ratio,
    eta squared): between tenths of all neurons by `norm`, between `layer`s, and between `module`s.

    scores, norms: by key one number for each neuron [neurons]. 0 where groups are alike, 1 where
    they are all that there is; of a random ranking about (groups - 1) / neurons.
    """
    from scipy.stats import rankdata

    ranks = rankdata(torch.cat([scores[key] for key in scores]).numpy())
    lengths = rankdata(torch.cat([norms[key] for key in scores]).numpy(), method="ordinal")
    sizes = [len(scores[key]) for key in scores]
    groups = {
        "norm": (lengths.astype(np.int64) - 1) * DECILES // len(lengths),
        "layer": np.repeat([layer_of(key) for key in scores], sizes),
        "module": np.repeat(np.arange(len(sizes)), sizes),
    }
    return {name: _between(ranks, group) for name, group in groups.items()}


def _between(values: np.ndarray, group: np.ndarray) -> float:
    """Eta squared of values [n] in groups [n] of whole numbers."""
    apart = values - values.mean()
    total = float(apart @ apart)
    if not total:
        return 0.0
    _, member = np.unique(group, return_inverse=True)
    sums = np.bincount(member, weights=apart)
    return float((sums**2 / np.bincount(member)).sum()) / total
