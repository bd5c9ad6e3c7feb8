"""Which of the publication's claims hold in a finished experiment, by paired tests, in plain
words.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from neft.data import readers
from neft.paper.paired import LEVEL, compare, holm
from neft.reporting.typeset import Cell, Sheet
from neft.results.runs import Group, Run, Runs, group, paths, read
from neft.schema import Strict
from neft.storage import files

SAME_SIZE = 0.1
"""LoRA and NeFT are of equal size if the smaller one trains at most this share fewer parameters: a
tenth.
"""


@dataclass(frozen=True)
class Claim:
    """One method does better than another: the title, why it may be untested, and the words for
    what its tests give.
    """

    title: str
    missing: str
    """What no experiment has, if there are no tests."""
    unit: ClassVar[str] = "points"
    above: ClassVar[str] = "better in"
    below: ClassVar[str] = "worse in"
    neither: ClassVar[str] = "no difference shown in"
    caution: ClassVar[str] = ""
    """A sentence on what the verdict can't say."""

    def verdict(self, above: int, below: int, tests: int) -> str:
        """In a few words, from how many of the tests show a difference in favour and against."""
        if above and below:
            return "Mixed"
        if above:
            return "Holds" if above == tests else "Holds in part"
        if below:
            return "The opposite holds" if below == tests else "Contradicted in part"
        return "Not shown"


class AsGood(Claim):
    """One method does as well as another."""

    caution = (
        " A test that shows no difference doesn't show that there is none: look at the sizes of"
        " the differences."
    )

    def verdict(self, above: int, below: int, tests: int) -> str:
        """Tests that show no difference leave such a claim open: they never confirm it."""
        if below:
            return "Does not hold" if below == tests else "Contradicted in part"
        return "Not contradicted"


class AboveChance(Claim):
    """Two masks share more neurons than masks drawn at random."""

    unit = "points above chance"
    above = "above chance in"
    below = "below it in"
    neither = "no difference from it shown in"


BETTER = {
    "full": Claim("NeFT does better than full fine-tuning", "no experiment has both"),
    "lora": Claim(
        "NeFT does better than LoRA of equal size",
        "no experiment has a LoRA within 10 % of a NeFT's parameters",
    ),
    "random": Claim(
        "Neurons of low similarity do better than random ones",
        "no experiment has a random mask as large as one of low similarity",
    ),
    "reversed": Claim(
        "Neurons of low similarity do better than those of high similarity",
        (
            "no experiment has a mask with neurons of high similarity as large as one of low"
            " similarity"
        ),
    ),
}
AS_GOOD = {
    "early": AsGood(
        "Neurons that an early step of the probe finds do as well",
        "no experiment has an early mask as large as one of the probe's end",
    ),
    "transferred": AsGood(
        "Neurons that were found on another data set do as well",
        "no experiment has a transferred mask as large as one of its own",
    ),
}
OVERLAP = AboveChance(
    "Masks of other data or steps overlap more than by chance", "no overlaps are analysed"
)
FASTER = (
    "NeFT needs fewer steps to the same dev loss",
    "no experiment has NeFT beside full fine-tuning or a LoRA of equal size",
)


class Place(Strict):
    """Where methods meet, and which pairs of them test which claim there."""

    model: str
    dataset: str
    test: str
    metric: str
    claims: dict[str, tuple[tuple[str, str], ...]]


class Evidence(Strict):
    """What claims are judged by."""

    runs: Runs = Field([])
    """Those that take part in a claim."""
    baseline: str
    """The method that every run is compared with."""
    places: tuple[Place, ...]
    overlaps: tuple[str, ...]
    """The analyses of overlaps."""


@dataclass(frozen=True)
class Test:
    """One comparison: where, of what, by how much better, and how surely (p None: no test was
    possible).
    """

    where: str
    what: str
    difference: float
    p: float | None
    seeds: int
    rows: int


@dataclass(frozen=True)
class Finding:
    """What came out of one claim."""

    claim: str
    verdict: str
    sentence: str
    sheet: Sheet | None


def findings(evidence: Evidence, root: Path) -> list[Finding]:
    """Judge every claim."""
    groups = {(one.model, one.dataset, one.test): one for one in group(evidence.runs)}
    pairs = [
        pair
        for pair in _pairs(evidence.places)
        if pair["claim"] != "lora" or _same_size(root, groups, pair)
    ]
    found = []
    for name, claim in {**BETTER, **AS_GOOD}.items():
        tests = [
            _test(root, groups, pair, evidence.baseline) for pair in pairs if pair["claim"] == name
        ]
        found.append(_judge(claim, tests))
    overlaps = [test for name in evidence.overlaps for test in _overlaps(root, name)]
    found.append(_judge(OVERLAP, overlaps))
    trainings = {
        (p["model"], p["dataset"], p["first"], p["second"]): (p["model"], p["dataset"], p["test"])
        for p in pairs
        if p["claim"] in ("full", "lora")
    }
    return [*found, _convergence(root, groups, trainings)]


def _pairs(places: Sequence[Place]) -> Iterator[dict[str, str]]:
    """{model, dataset, test, metric, claim, first, second} of every pair of methods."""
    for place in places:
        where = place.model_dump(include={"model", "dataset", "test", "metric"})
        for claim, pairs in place.claims.items():
            yield from (
                where | {"claim": claim, "first": first, "second": second}
                for first, second in pairs
            )


def _of(groups: Mapping[tuple[str, str, str], Group], pair: Mapping[str, str]) -> Group:
    return groups[pair["model"], pair["dataset"], pair["test"]]


def _same_size(
    root: Path, groups: Mapping[tuple[str, str, str], Group], pair: Mapping[str, str]
) -> bool:
    """Whether two methods train equally many parameters, by what their runs counted."""
    sizes = []
    for method in (pair["first"], pair["second"]):
        metrics = paths(root, _of(groups, pair).methods[method][0]).metrics
        assert metrics, method  # only tuned methods are in pairs
        sizes.append(read(metrics, "trainable_parameters")["trainable_parameters"])
    return bool(abs(sizes[0] - sizes[1]) <= SAME_SIZE * max(sizes))


def _test(
    root: Path, groups: Mapping[tuple[str, str, str], Group], pair: Mapping[str, str], baseline: str
) -> Test:
    methods, metric = _of(groups, pair).methods, pair["metric"]
    first, second = methods[pair["first"]], methods[pair["second"]]
    found = compare(root, first, second, metric, baseline)
    score = read(paths(root, first[0]).scores[metric], "title", "higher_is_better", "segments")
    where = f"{pair['model']}, {pair['dataset']}, tested on {pair['test']} ({score['title']})"
    what, gain = f"{pair['first']} less {pair['second']}", found.difference
    if not score["higher_is_better"]:
        what, gain = f"{pair['second']} less {pair['first']} (lower is better)", -gain
    return Test(where, what, gain, found.p, len(found.seeds), len(score["segments"]))


def _overlaps(root: Path, name: str) -> list[Test]:
    """Every pair of masks of one analysis; p by the hypergeometric distribution, which random masks
    of these sizes follow.
    """
    pairs: dict[tuple[str, str], list[dict[str, str]]] = {}
    for _, row in readers.read(root / "tables" / f"overlap_{name}.csv"):
        pairs.setdefault((row["a"], row["b"]), []).append(row)
    found = []
    for (a, b), rows in pairs.items():
        ps = [_beyond_chance(row) for row in rows]
        p = None if None in ps else max(p for p in ps if p is not None)
        above = statistics.fmean(float(row["above_chance"]) for row in rows)
        found.append(
            Test(name, f"{a} and {b}", above, p, len(rows), int(float(rows[0]["offered"])))
        )
    return found


def _beyond_chance(row: Mapping[str, str]) -> float | None:
    """Two-sided p of an overlap; None for masks that don't choose from all neurons alike."""
    from scipy.stats import hypergeom

    shared, offered, first, second = (
        round(float(row[key])) for key in ("shared", "offered", "first", "second")
    )
    if not math.isclose(float(row["chance"]), first * second / offered, rel_tol=1e-6):
        return None
    more, fewer = (
        hypergeom.sf(shared - 1, offered, first, second),
        hypergeom.cdf(shared, offered, first, second),
    )
    return float(min(1.0, 2 * min(more, fewer)))


def _judge(claim: Claim, tests: Sequence[Test]) -> Finding:
    """Put tests, corrected for their number, into a verdict and a sentence."""
    if not tests:
        return Finding(claim.title, "Not tested here", f"Not tested here: {claim.missing}.", None)
    corrected = iter(holm([test.p for test in tests if test.p is not None]))
    ps = [None if test.p is None else next(corrected) for test in tests]
    sure = [p is not None and p < LEVEL for p in ps]
    above = sum(one and test.difference > 0 for one, test in zip(sure, tests, strict=True))
    below = sum(one and test.difference < 0 for one, test in zip(sure, tests, strict=True))
    rest = len(tests) - above - below
    verdict = claim.verdict(above, below, len(tests))
    counts = f"{claim.above} {above}, {claim.below} {below}, {claim.neither} {rest}"
    sentence = (
        f"{verdict}. Of {len(tests)} comparison{'s' * (len(tests) > 1)}: {counts}.{claim.caution}"
    )
    header = [
        "Where",
        "What",
        f"Difference ({claim.unit})",
        "p",
        f"p, corrected for {len(tests)}",
        "Seeds",
        "n",
    ]
    rows = [
        [
            *(Cell(test.where), Cell(test.what), Cell(f"{test.difference:+.2f}", bold=one)),
            *(_p(test.p), _p(p), Cell(str(test.seeds)), Cell(f"{test.rows:,}")),
        ]
        for test, p, one in zip(tests, ps, sure, strict=True)
    ]
    return Finding(claim.title, verdict, sentence, Sheet(claim.title, header, rows, []))


def _p(p: float | None) -> Cell:
    return Cell("no test" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}")


def _convergence(
    root: Path,
    groups: Mapping[tuple[str, str, str], Group],
    trainings: Mapping[tuple[str, str, str, str], tuple[str, str, str]],
) -> Finding:
    """Steps and seconds until both methods have reached the worse of their two best dev losses;
    means over seeds, no test.
    """
    if not trainings:
        return Finding(FASTER[0], "Not tested here", f"Not tested here: {FASTER[1]}.", None)
    rows, fewer, equal, quicker = [], 0, 0, 0
    for (model, dataset, first, second), place in trainings.items():
        methods = groups[place].methods
        reached = [
            _reached(root, one, other)
            for one, other in zip(methods[first], methods[second], strict=True)
        ]
        steps, seconds = (
            [statistics.fmean(seed[side][k] for seed in reached) for side in (0, 1)] for k in (0, 1)
        )
        fewer, equal, quicker = (
            fewer + (steps[0] < steps[1]),
            equal + (steps[0] == steps[1]),
            quicker + (seconds[0] < seconds[1]),
        )
        cells = [
            f"{steps[0]:.0f}",
            f"{steps[1]:.0f}",
            f"{seconds[0]:,.0f}",
            f"{seconds[1]:,.0f}",
            str(len(reached)),
        ]
        rows.append(
            [Cell(f"{model}, {dataset}"), Cell(f"{first} against {second}"), *map(Cell, cells)]
        )
    verdict = "Holds" if fewer == len(rows) else "Holds in part" if fewer else "Does not hold"
    sentence = (
        f"{verdict}. Fewer steps in {fewer} of {len(rows)} pairs, as many in {equal}; less time in"
        f" {quicker}. Counted until the higher of the two lowest dev losses is reached, at an"
        " evaluation of the chosen trials, whose rates and epochs may differ; no test."
    )
    header = [
        "Where",
        "What",
        "Steps (first)",
        "Steps (second)",
        "Seconds (first)",
        "Seconds (second)",
        "Seeds",
    ]
    return Finding(FASTER[0], verdict, sentence, Sheet(FASTER[0], header, rows, []))


def _reached(
    root: Path, first: Run, second: Run
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Step and seconds at which each of two runs has the worse of their lowest dev losses."""
    curves = []
    for run in (first, second):
        history = paths(root, run).history
        assert history, run.method  # only tuned methods are in pairs
        curves.append([row for row in files.read_rows(history) if row["split"] == "dev"])
    target = max(min(row["loss"] for row in curve) for curve in curves)
    at = [next(row for row in curve if row["loss"] <= target) for curve in curves]
    return (at[0]["step"], at[0]["seconds"]), (at[1]["step"], at[1]["seconds"])
