"""What an experiment says of the publication's claims: four words, each with a difference of
methods, its interval, seeds and rows.

better, worse   the difference is not zero
equivalent      the difference is smaller than the metric's margin, by two one-sided tests; a
                difference that is both certain and that small is of no practical weight
undecided       neither

The tests of all claims of a page are corrected together (`neft.scoring.corrections`): the chance
that any of its words is wrong is at most 5 %. A claim that the experiment does not test is not
listed, and with one seed there is no word: runs were compared, not methods.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from neft.data import readers
from neft.reporting.typeset import Cell, Sheet
from neft.results import comparisons
from neft.results.runs import Group, Run, Runs, group, paths, read
from neft.schema import Strict
from neft.scoring.corrections import LEVEL, holm
from neft.scoring.methods import Difference, equivalence, over_seeds
from neft.storage import files

SAME_SIZE = 0.1
"""LoRA and NeFT are of equal size if the smaller one trains at most this share fewer parameters: a
tenth.
"""
Word = Literal["better", "worse", "equivalent", "undecided"]
WORDS: tuple[Word, ...] = ("better", "worse", "equivalent", "undecided")
CLAIMS = {
    "full": "NeFT does better than full fine-tuning",
    "lora": "NeFT does better than LoRA of equal size",
    "random": "Neurons of low similarity do better than random ones",
    "reversed": "Neurons of low similarity do better than those of high similarity",
    "early": "Neurons that an early step of the probe finds do as well",
    "transferred": "Neurons that were found on another data set do as well",
    "overlap": "Masks of other data or steps overlap more than masks that know nothing of the task",
    "faster": "NeFT needs fewer steps to the same dev loss",
}
"""Every claim, in the order of the page. "As well" is what equivalent says; undecided doesn't."""


class Place(Strict):
    """Where methods meet, and which pairs of them test which claim there."""

    model: str
    dataset: str
    test: str
    metric: str
    margin: float
    """From which difference on methods are not equivalent."""
    claims: dict[str, tuple[tuple[str, str], ...]]


class Evidence(Strict):
    """What claims are judged by."""

    runs: Runs = Field([])
    """Those that take part in a claim."""
    places: tuple[Place, ...]
    overlaps: tuple[str, ...]
    """The analyses of overlaps."""


@dataclass(frozen=True)
class Verdict:
    """One comparison of a claim, the first method's gain over the second, and its word."""

    claim: str
    where: str
    what: str
    gain: Difference
    """Positive where the first is better."""
    p: float | None
    """Of no difference, not corrected; with one seed that of the runs, if there is one."""
    margin: float | None = None
    decimals: int = 1
    as_ratio: bool = False
    """The gain is the logarithm of a ratio, and shown as that."""
    corrected: float | None = None
    word: Word | None = None
    """None with one seed."""

    def shown(self, value: float) -> str:
        """A value of the gain as the page prints it."""
        return f"{math.exp(value):.2f}×" if self.as_ratio else f"{value:+z.{self.decimals}f}"


@dataclass(frozen=True)
class Finding:
    """One claim with its tests."""

    claim: str
    tests: tuple[Verdict, ...]

    @property
    def counts(self) -> dict[Word, int]:
        """How many tests end with each word."""
        return {word: sum(test.word == word for test in self.tests) for word in WORDS}


def findings(evidence: Evidence, root: Path) -> list[Finding]:
    """Every claim that is tested, judged."""
    groups = {(one.model, one.dataset, one.test): one for one in group(evidence.runs)}
    tests = [test for place in evidence.places for test in _of_place(root, groups, place)]
    tests += [test for name in evidence.overlaps for test in _overlaps(root, name)]
    tests += _convergence(root, groups, evidence.places)
    judged = judge(tests)
    return [
        Finding(title, found)
        for name, title in CLAIMS.items()
        if (found := tuple(test for test in judged if test.claim == name))
    ]


def judge(tests: Sequence[Verdict]) -> list[Verdict]:
    """Give every test that has several seeds its word, all corrected together."""
    ps, owners = [], []
    for number, test in enumerate(tests):
        for p in _hypotheses(test):
            ps.append(p)
            owners.append(number)
    corrected: dict[int, list[float]] = {}
    for number, p in zip(owners, holm(ps, owners), strict=True):
        corrected.setdefault(number, []).append(p)
    return [_judged(test, corrected.get(number)) for number, test in enumerate(tests)]


def _hypotheses(test: Verdict) -> Iterator[float]:
    """p of no difference, and where there is a margin that of a difference beyond it."""
    if test.gain.p is None:
        return
    yield test.gain.p
    if test.margin is not None:
        beyond = equivalence(test.gain, test.margin)
        assert beyond is not None  # there are several seeds
        yield beyond


def _judged(test: Verdict, ps: Sequence[float] | None) -> Verdict:
    if ps is None:
        return test
    word: Word = "undecided"
    if len(ps) > 1 and ps[1] < LEVEL:
        word = "equivalent"
    elif ps[0] < LEVEL:
        word = "better" if test.gain.value > 0 else "worse"
    return replace(test, corrected=ps[0], word=word)


def _of_place(
    root: Path, groups: Mapping[tuple[str, str, str], Group], place: Place
) -> Iterator[Verdict]:
    """The tests of a place's claims."""
    where = (place.model, place.dataset, place.test)
    found = comparisons.load(root, *where, place.metric)
    shown = f"{place.model}, {place.dataset}, tested on {place.test} ({found.title})"
    for claim, pairs in place.claims.items():
        for first, second in pairs:
            if claim == "lora" and not _same_size(root, groups[where], first, second):
                continue
            comparison = found.of(first, second)
            less = f"{first} less {second}"
            if not found.higher_is_better:
                less = f"{second} less {first} (lower is better)"
            yield Verdict(
                claim,
                shown,
                less,
                found.gain(comparison),
                comparison.p,
                place.margin,
                found.decimals,
            )


def _same_size(root: Path, place: Group, first: str, second: str) -> bool:
    """Whether two methods train equally many parameters, by what their runs counted."""
    sizes = []
    for method in (first, second):
        metrics = paths(root, place.methods[method][0]).metrics
        assert metrics, method  # only tuned methods are in pairs
        sizes.append(read(metrics, "trainable_parameters")["trainable_parameters"])
    return bool(abs(sizes[0] - sizes[1]) <= SAME_SIZE * max(sizes))


def _overlaps(root: Path, name: str) -> Iterator[Verdict]:
    """Every pair of masks of one analysis: its overlap less the largest of its references, over
    seeds.
    """
    pairs: dict[tuple[str, str], list[float]] = {}
    beside: dict[tuple[str, str], str] = {}
    for _, row in readers.read(root / "tables" / f"overlap_{name}.csv"):
        pairs.setdefault((row["a"], row["b"]), []).append(float(row["above"]))
        named = [one.rpartition(" ")[0] for one in row["references"].split("; ") if one]
        beside[row["a"], row["b"]] = " or ".join(["chance", *named])
    for (a, b), above in pairs.items():
        gain = over_seeds(above)
        less = f"overlap less that of {beside[a, b]}"
        yield Verdict("overlap", name, f"{a} and {b}, {less}", gain, gain.p)


def _convergence(
    root: Path, groups: Mapping[tuple[str, str, str], Group], places: Sequence[Place]
) -> Iterator[Verdict]:
    """How many steps each of two methods takes to a common dev loss, as a ratio, over seeds."""
    seen = set()
    for place in places:
        for first, second in (*place.claims.get("full", ()), *place.claims.get("lora", ())):
            training = (place.model, place.dataset, first, second)
            methods = groups[place.model, place.dataset, place.test].methods
            if training in seen:
                continue
            seen.add(training)
            ratios = []
            for one, other in zip(methods[first], methods[second], strict=True):
                steps = steps_to_common_loss(_curve(root, one), _curve(root, other))
                ratios.append(math.log(steps[1] / steps[0]))
            gain = over_seeds(ratios)
            yield Verdict(
                "faster",
                f"{place.model}, {place.dataset}",
                f"steps of {second} ÷ those of {first}",
                gain,
                gain.p,
                as_ratio=True,
            )


def _curve(root: Path, run: Run) -> list[tuple[float, float]]:
    """(step, dev loss) at a run's evaluations."""
    history = paths(root, run).history
    assert history, run.method  # only tuned methods are in pairs
    return [(row["step"], row["loss"]) for row in files.read_rows(history) if row["split"] == "dev"]


def steps_to_common_loss(
    first: Sequence[tuple[float, float]], second: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """The step at which each of two curves of (step, dev loss) first has the higher one of their
    two lowest losses; between two evaluations by a straight line, before the first not sooner than
    that.
    """
    target = max(min(loss for _, loss in curve) for curve in (first, second))

    def reached(curve: Sequence[tuple[float, float]]) -> float:
        before: tuple[float, float] | None = None
        for step, loss in curve:
            if loss <= target:
                if before is None:
                    return step
                share = (before[1] - target) / (before[1] - loss)
                return before[0] + share * (step - before[0])
            before = (step, loss)
        raise AssertionError("the target is one that both curves reach")

    return reached(first), reached(second)


def sheet(finding: Finding) -> Sheet:
    """A claim's tests, a row each."""
    judged = any(test.word for test in finding.tests)
    header = ["Where", "What", "Difference [95\u00a0%]"]
    header += ["p", "p, corrected", "Verdict"] if judged else ["p, this run"]
    header += ["Margin", "Seeds", "Rows"]
    return Sheet(finding.claim, header, [_cells(test, judged) for test in finding.tests], [])


def _cells(test: Verdict, judged: bool) -> list[Cell]:
    gain = test.gain
    interval = (
        ""
        if gain.low is None or gain.high is None
        else f"[{test.shown(gain.low)}, {test.shown(gain.high)}]"
    )
    tested = (
        [_p(test.p), _p(test.corrected), Cell(test.word or "one seed", bold=bool(test.word))]
        if judged
        else [_p(test.p)]
    )
    return [
        Cell(test.where),
        Cell(test.what),
        Cell(test.shown(gain.value), detail=interval),
        *tested,
        Cell("–" if test.margin is None else f"±{test.margin:g}"),
        Cell(str(gain.seeds)),
        Cell("–" if gain.rows is None else f"{gain.rows:,}"),
    ]


def _p(p: float | None) -> Cell:
    return Cell("–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}")
