"""What `compare_methods` wrote: methods side by side, on the same rows and seeds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from neft.errors import NeftError
from neft.results.layout import Layout
from neft.results.runs import read
from neft.scoring.methods import Difference
from neft.storage import files


class RunPair(NamedTuple):
    """A run of each method, of one seed; p is that of swapped rows, and speaks of these two runs
    alone.
    """

    seed: int
    first: float
    second: float
    p: float


@dataclass(frozen=True)
class Comparison:
    """Two methods in one metric on one test set."""

    first: str
    second: str
    difference: Difference
    """The first method less the second, on the metric's scale."""
    runs: tuple[RunPair, ...]
    """One for each seed."""

    @property
    def p(self) -> float:
        """Two-sided: of the methods, or with one seed of these two runs."""
        return self.runs[0].p if self.difference.p is None else self.difference.p

    def __neg__(self) -> Comparison:
        """The second method less the first."""
        runs = (run._replace(first=run.second, second=run.first) for run in self.runs)
        return Comparison(self.second, self.first, -self.difference, tuple(runs))


@dataclass(frozen=True)
class Comparisons:
    """All methods that are compared in one metric on one test set."""

    title: str
    """Of the metric."""
    higher_is_better: bool
    decimals: int
    """How many places are shown."""
    signature: str
    """How the differences were computed and tested."""
    pairs: tuple[Comparison, ...]

    def of(self, first: str, second: str) -> Comparison:
        """The first method less the second. Raises NeftError if they were not compared."""
        for pair in self.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair
            if (pair.second, pair.first) == (first, second):
                return -pair
        raise NeftError(f"{first} and {second} were not compared; run compare_methods again")

    def gain(self, comparison: Comparison) -> Difference:
        """How much better the first method is: positive where it is, whatever the metric."""
        return comparison.difference if self.higher_is_better else -comparison.difference


def write(path: Path, found: Comparisons) -> None:
    """Write comparisons as JSON that notices damage."""
    record = asdict(found)
    for pair in record["pairs"]:
        pair["runs"] = [RunPair(*run)._asdict() for run in pair["runs"]]
    files.write_json(path, files.seal(record))


def load(root: str | Path, model: str, dataset: str, test: str, metric: str) -> Comparisons:
    """The comparisons of methods that were tuned on one data set, on a test set in a metric.

    Raises NeftError if the file is damaged.
    """
    path = Layout(Path(root)).comparisons(model, dataset, test, metric)
    record: dict[str, Any] = read(path, "title", "pairs", "signature", "sha256")
    del record["sha256"]
    pairs = tuple(
        Comparison(
            pair["first"],
            pair["second"],
            Difference(**pair["difference"]),
            tuple(RunPair(**run) for run in pair["runs"]),
        )
        for pair in record.pop("pairs")
    )
    return replace(Comparisons(**record, pairs=()), pairs=pairs)
