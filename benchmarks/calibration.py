"""Do the tests that tables and claims print keep their level? Simulated where nothing differs.

Reads   ROWS (jsonl)   {target}: real answers, of which outputs are made (of the demo: its pool)
Writes  PAGE (Markdown)   how often each test rejects, beside the level

Needs some ten minutes on one core; `--simulations 50` is a quick look.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from tqdm import tqdm

from neft import plugins
from neft.paper.verdicts import Verdict, judge
from neft.scoring import methods, significance
from neft.scoring.score import ratio
from neft.storage import files

LEVELS = (0.05, 0.30)
VERSIONS = 8
"""Outputs that are made of every answer; two of them are two systems' outputs."""
SIZES = (24, 80, 300)
SENTENCE_SD = 17.0
"""Of the difference of two systems in chrF++ of one sentence, as the demo's outputs have it."""


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=Path, default="results/quickstart/data/ui-en-fr/pool.jsonl")
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=2000, help="swaps of one test")
    parser.add_argument("--page", type=Path, default="docs/calibration.md")
    args = parser.parse_args(argv)
    draw = np.random.default_rng(1)
    answers = [row["target"] for row in files.read_rows(args.rows)]
    number = args.simulations
    page = [INTRODUCTION.format(simulations=number, trials=args.trials, noise=noise(number))]
    lines = [
        runs(name, plugin, options, counted, number, args.trials, draw)
        for name, plugin, options, counted in tqdm(list(systems(answers, draw)))
    ]
    page += ["## Two runs on the same rows", TWO_RUNS, table(RUNS_HEADER, lines)]
    page += ["## Methods, over seeds and rows", METHODS]
    page += [table(METHODS_HEADER, list(tqdm(over_seeds_and_rows(number, draw))))]
    page += [
        "## Equivalence",
        EQUIVALENCE,
        table(["seeds", "called equivalent"], [*equal(number, draw)]),
    ]
    page += [
        "## Words on a page",
        WORDS,
        table(["true claims", "pages with a wrong word"], [*words(number, draw)]),
    ]
    files.write_text(args.page, "\n\n".join(page) + "\n")


def systems(
    answers: Sequence[str], draw: np.random.Generator
) -> Iterator[tuple[str, Any, Any, np.ndarray]]:
    """A metric at a time: its name, plug-in and options, and statistics [versions, rows, k] of
    outputs that were made from real answers.
    """
    chosen = [answers[n] for n in draw.permutation(len(answers))[: max(SIZES)]]
    outputs = [[corrupted(text, chosen, draw) for text in chosen] for _ in range(VERSIONS)]
    for kind, more in (("chrf", {}), ("bleu", {}), ("rouge", {"type": "rougeL"})):
        plugin, options = (
            plugins.load("metrics", kind),
            plugins.settings("metrics", {"kind": kind, **more}),
        )
        rows = [
            [
                {"id": n, "source": "", "output": output, "reference": reference}
                for n, (output, reference) in enumerate(zip(version, chosen, strict=True))
            ]
            for version in outputs
        ]
        yield (
            kind,
            plugin,
            options,
            np.stack([plugin.statistics(one, options, "fr") for one in rows]),
        )
    plugin, options = plugins.load("metrics", "loss"), plugins.settings("metrics", {"kind": "loss"})
    tokens = np.array([len(text) // 3 + 1 for text in chosen], dtype=np.float64)
    losses = tokens * draw.gamma(3, 0.6, (VERSIONS, len(chosen)))
    yield "loss", plugin, options, np.stack([losses, np.broadcast_to(tokens, losses.shape)], axis=2)
    plugin, options = (
        plugins.load("metrics", "accuracy"),
        plugins.settings("metrics", {"kind": "accuracy"}),
    )
    right = 100.0 * (draw.random((VERSIONS, len(chosen))) < 0.7)
    yield "accuracy", plugin, options, np.stack([right, np.ones_like(right)], axis=2)


def corrupted(text: str, others: Sequence[str], draw: np.random.Generator) -> str:
    """An answer of which each word is left out or another answer's, one time in six each."""
    words = []
    for word in text.split():
        case = draw.random()
        if case < 1 / 6:
            continue
        other = others[int(draw.integers(len(others)))].split()
        words.append(other[draw.integers(len(other))] if case < 1 / 3 and other else word)
    return " ".join(words) or text


RUNS_HEADER = ["metric", *(f"n = {size}: {level:.0%}" for size in SIZES for level in LEVELS)]


def runs(
    name: str,
    plugin: Any,
    options: Any,
    statistics: np.ndarray,
    simulations: int,
    trials: int,
    draw: np.random.Generator,
) -> list[str]:
    """How often two systems that are equal are told apart, by number of rows and level."""
    cells = [name]
    value = partial(plugin.value, spec=options)
    exact = significance.name_of(options)
    for size in SIZES:
        ps = []
        for number in range(simulations):
            rows = draw.permutation(statistics.shape[1])[:size]
            one, other = draw.permutation(VERSIONS)[:2]
            swap = draw.random(len(rows))[:, None] < 0.5
            first = np.where(swap, statistics[one][rows], statistics[other][rows])
            second = np.where(swap, statistics[other][rows], statistics[one][rows])
            if "mcnemar" in exact:
                ps.append(significance.compare(plugin, options, first, second).p)
            else:
                ps.append(significance.swaps(first, second, value, trials=trials, seed=number))
        cells += [rate(ps, level) for level in LEVELS]
    return cells


def simulated(
    seeds: int, rows: int, seed_sd: float, row_sd: float, true: float, draw: np.random.Generator
) -> np.ndarray:
    """Differences of two methods [seeds, rows]: `true`, and what varies by seed, by row, by both."""
    rest = (SENTENCE_SD**2 - row_sd**2) ** 0.5
    apart = true + draw.normal(0, rest, (seeds, rows))
    result: np.ndarray = apart + draw.normal(0, seed_sd, (seeds, 1)) + draw.normal(0, row_sd, rows)
    return result


def compare(apart: np.ndarray) -> methods.Difference:
    """The product's comparison of two methods with these differences."""
    ones = np.ones_like(apart)
    first, second = np.stack([50 + apart, ones], axis=2), np.stack([50 * ones, ones], axis=2)
    return methods.compare([*first], [*second], ratio)


METHODS_HEADER = [
    "seeds",
    "rows",
    "sd by seed",
    "sd by row",
    "5%",
    "30%",
    "95 % interval holds the truth",
    "t over seeds: 5%",
    "power",
    "of t over seeds",
]


def over_seeds_and_rows(simulations: int, draw: np.random.Generator) -> Iterator[list[str]]:
    """Level, coverage and power, a row for each setting."""
    for seeds, rows, seed_sd, row_sd in product(
        (3, 5, 10), (80, 300, 1000), (1.0, 3.0), (0.0, 10.0)
    ):
        settings = (seeds, rows, seed_sd, row_sd)
        null = [simulated(*settings, 0.0, draw) for _ in range(simulations)]
        found = [compare(one) for one in null]
        ps = [one.p for one in found if one.p is not None]
        held = np.mean(
            [
                one.low <= 0 <= one.high
                for one in found
                if one.low is not None and one.high is not None
            ]
        )
        naive = [float(stats.ttest_1samp(one.mean(axis=1), 0).pvalue) for one in null]
        # An effect that the t test over seeds finds four times in five.
        error = (seed_sd**2 + (SENTENCE_SD**2 - row_sd**2) / rows) ** 0.5 / seeds**0.5
        effect = error * detectable(seeds)
        true = [simulated(*settings, effect, draw) for _ in range(simulations)]
        power = np.mean([(compare(one).p or 0) < 0.05 for one in true])
        best = np.mean([stats.ttest_1samp(one.mean(axis=1), 0).pvalue < 0.05 for one in true])
        valid = row_sd == 0
        yield [
            str(seeds),
            f"{rows:,}",
            f"{seed_sd:g}",
            f"{row_sd:g}",
            rate(ps, 0.05),
            rate(ps, 0.30),
            f"{held:.3f}",
            rate(naive, 0.05),
            f"{power:.2f}",
            f"{power / best:.2f}" if valid else "not valid",
        ]


def detectable(seeds: int, power: float = 0.8) -> float:
    """How many standard errors a t test at .05 over so many seeds finds with this power."""
    critical = stats.t.isf(0.025, seeds - 1)
    grid = np.linspace(1, 30, 2901)
    found = stats.nct.sf(critical, seeds - 1, grid)
    return float(grid[np.searchsorted(found, power)])


def equal(simulations: int, draw: np.random.Generator) -> Iterator[list[str]]:
    """How often methods that lie exactly the margin apart are called equivalent."""
    for seeds in (3, 5, 10):
        ps = [
            methods.equivalence(compare(simulated(seeds, 300, 1.0, 5.0, 2.0, draw)), 2.0)
            for _ in range(simulations)
        ]
        yield [str(seeds), rate([p for p in ps if p is not None], 0.05)]


def words(simulations: int, draw: np.random.Generator) -> Iterator[list[str]]:
    """How many pages say better or worse of any of several equal pairs."""
    for claims in (1, 5, 20):
        wrong = 0
        for _ in range(simulations):
            found = [compare(simulated(5, 80, 1.0, 5.0, 0.0, draw)) for _ in range(claims)]
            judged = judge([Verdict("full", "", "", one, one.p, margin=0.01) for one in found])
            wrong += any(one.word in ("better", "worse", "equivalent") for one in judged)
        yield [str(claims), f"{wrong / simulations:.3f}"]


def rate(ps: Sequence[float], level: float) -> str:
    """The share of p below a level."""
    return f"{np.mean(np.array(ps) < level):.3f}"


def noise(simulations: int) -> str:
    """Twice the standard error of a rate of .05 and of .30."""
    return " and ".join(f"±{2 * (x * (1 - x) / simulations) ** 0.5:.3f}" for x in LEVELS)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """As Markdown."""
    lines = [header, ["--:"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


INTRODUCTION = """# Calibration of the tests

Made by `make calibration` (`benchmarks/calibration.py`): {simulations:,} simulations for each number, in which
nothing differs, and the share that each test nevertheless rejects. It should be the level, 0.05 or 0.30; of so many
simulations chance alone makes {noise}. Tests of two runs used {trials:,} swaps (the product 10,000)."""
TWO_RUNS = """\
Outputs are real French messages of the demo with words left out and put in; two such versions are two systems, and of
every row the systems are swapped at random, so that they are equal. Losses and right answers are drawn. BLEU, chrF++,
ROUGE-L and loss are tested by random swaps (`neft.scoring.significance`), accuracy by McNemar's exact test, which is
discrete and so rejects less often than its level."""
METHODS = f"""\
Differences of two methods by seed and row: normal, {SENTENCE_SD:g} points from sentence to sentence, of which a part
belongs to the row whatever the seed. The product's test (`neft.scoring.methods`) counts both seeds and rows. The t
test over seeds alone is valid where rows share nothing (sd by row 0), and there the best there is: the last columns
are the power of the product's for an effect that it finds four times in five, and the ratio of both. Where rows share
something it rejects too often, by the more the more seeds there are."""
EQUIVALENCE = """\
Two methods that lie exactly the margin apart, at the level .05 (two one-sided tests; 300 rows): at most .05 may be
called equivalent."""
WORDS = """\
Pages of `summary.md` with some comparisons of equal methods, margin 0.01: at most .05 of the pages may say better,
worse or equivalent of any (Holm, with the two hypotheses of a comparison as one group)."""


if __name__ == "__main__":
    main()
