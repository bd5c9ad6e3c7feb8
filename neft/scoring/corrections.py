"""p values corrected for their number, so that the chance of any false finding stays at the level."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

LEVEL = 0.05
"""Below this a corrected p counts as significant."""


def holm(ps: Sequence[float], groups: Sequence[Hashable] | None = None) -> list[float]:
    """Corrected p values (Holm 1979), in the order given.

    groups: hypotheses of the same group contradict each other ("no difference" and "a difference of
    the margin or more"), so that at most one of them is true, and each counts once as long as none
    of it is rejected (Shaffer 1986, the modified procedure S1). Default: each is a group of its own.
    """
    names = range(len(ps)) if groups is None else groups
    order = sorted(range(len(ps)), key=lambda place: ps[place])
    corrected, largest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(order):
        # Where one of a group was rejected, another of it may still be the true one.
        open_groups = len({names[other] for other in order[rank:]})
        largest = max(largest, min(1.0, open_groups * ps[place]))
        corrected[place] = largest
    return corrected
