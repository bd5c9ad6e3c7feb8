"""The search for a method's learning rate: a grid that goes on where its best rate is at its edge.

A rate at the edge of what was tried may be far from the best one, and a method whose grid happens to
end there is compared at a disadvantage. So the same rule holds for every method: until the best rate
has a worse one on either side, the grid is extended by its own ratio.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import Field

from neft.schema import Strict


class Search(Strict):
    """How learning rates are searched, the same for every method with several of them."""

    extensions: int = Field(3, ge=0)
    """How often at most a grid whose best learning rate is its lowest or highest goes on by its own
    ratio, a rate at a time. 0: only the given rates are tried.
    """


class Trial(NamedTuple):
    """One point of a method's grid; epochs are None where the method doesn't give them."""

    rate: float
    epochs: float | None = None

    @property
    def name(self) -> str:
        """Its folder: named by its values, not its place, so that a longer grid leaves the finished
        trials as they are.
        """
        return f"lr{self.rate:g}" + (f"-ep{self.epochs:g}" if self.epochs else "")

    @classmethod
    def of(cls, name: str) -> Trial:
        """From its name."""
        rate, _, epochs = name.removeprefix("lr").partition("-ep")
        return cls(float(rate), float(epochs) if epochs else None)


def best(losses: Mapping[str, float | None]) -> str | None:
    """The name of the trial with the lowest finite dev loss, of equal ones the first; losses: by the
    trials' names, None for one that diverged. None if all did.
    """
    finite = {
        name: loss for name, loss in losses.items() if loss is not None and math.isfinite(loss)
    }
    return min(finite, key=lambda name: finite[name], default=None)


def beyond(losses: Mapping[str, float | None]) -> Trial | None:
    """The next trial: beyond the edge at which the best rate lies, by the ratio of the two rates
    there. None if the best has another rate on either side, or all diverged.

    losses: as for `best`. A trial that diverged is a worse one.
    """
    name = best(losses)
    if name is None:
        return None
    chosen = Trial.of(name)
    rates = sorted(trial.rate for trial in map(Trial.of, losses) if trial.epochs == chosen.epochs)
    if len(rates) < 2:
        return None
    if chosen.rate == rates[0]:
        rate = rates[0] * rates[0] / rates[1]
    elif chosen.rate == rates[-1]:
        rate = rates[-1] * rates[-1] / rates[-2]
    else:
        return None
    return Trial(float(f"{rate:.3g}"), chosen.epochs)
