"""The comparisons of methods that lie beside a group's scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from neft.errors import NeftError
from neft.results.layout import Layout
from neft.results.runs import Group, read
from neft.schema import listed
from neft.scoring.pairs import Pair

_PAIRS = TypeAdapter(tuple[Pair, ...])


@dataclass(frozen=True)
class Comparisons:
    """All pairs of methods that were compared by one metric on one test set."""

    path: Path
    pairs: tuple[Pair, ...]

    def between(self, first: str, second: str) -> Pair:
        """The first method less the second. Raises NeftError if they were not compared."""
        for pair in self.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair
            if (pair.second, pair.first) == (first, second):
                return pair.turned()
        raise NeftError(
            f"{self.path}: {first} and {second} were not compared; run compare_methods again"
        )


def load(root: str | Path, group: Group, metric: str) -> Comparisons:
    """The comparisons of a group's methods. Raises NeftError, naming the file, if it is missing,
    damaged or of another form.
    """
    path = Layout(Path(root)).comparison(group.model, group.dataset, group.test, metric)
    try:
        return Comparisons(path, _PAIRS.validate_python(read(path, "pairs")["pairs"]))
    except ValidationError as error:
        raise NeftError(f"{path}: not a comparison of methods: {listed(error)}") from None
