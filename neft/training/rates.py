"""The learning rate of every step."""

from __future__ import annotations

import math

from neft.training.settings import Training


def share_of_peak(step: int, total: int, settings: Training) -> float:
    """The learning rate of an optimizer step as a share of its peak; step: 0 … total − 1.

    With w = ⌈warmup_ratio · total⌉ steps of warm-up it is (step + 1) / (w + 1) in these, so that
    the first step moves the weights too, and the peak in step w (1 if w is 0). With
    t = (step − w) / (total − w) it is then 1 − t (`linear`), (1 + cos πt) / 2 (`cosine`) or 1
    (`constant`): what transformers' schedules of these names do after their warm-up, which starts
    at 0.
    """
    warmup = math.ceil(settings.warmup_ratio * total)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    passed = min((step - warmup) / max(1, total - warmup), 1.0)
    if settings.schedule == "linear":
        return 1 - passed
    return (1 + math.cos(math.pi * passed)) / 2 if settings.schedule == "cosine" else 1.0
