"""The results table: every number in full for machines (CSV), and a sheet for people, which
`neft.reporting.typeset` sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from neft.reporting.summary import COSTS, Mean, Result, Row
from neft.reporting.typeset import Cell, Sheet
from neft.results.runs import Group

NONE = Cell("–")


def records(tables: Sequence[tuple[Group, list[Row]]]) -> list[dict[str, Any]]:
    """All groups in full, a record per model, dataset, test set and method, all of the same keys;
    None for what doesn't exist.

    Units are those of the names: seconds, tokens per second, bytes, percent of all the model's
    parameters; losses are in nats per token, scores on their metrics' own scales. `*_sd` is the standard deviation
    over seeds.
    """
    found = [_record(group, row) for group, rows in tables for row in rows]
    # Groups may have different metrics: all of these stand between what was tuned and what it cost.
    columns = [
        *dict.fromkeys(column for record in found for column in record if column not in COSTS),
        *COSTS,
    ]
    return [{column: record.get(column) for column in columns} for record in found]


def _record(group: Group, row: Row) -> dict[str, Any]:
    record: dict[str, Any] = {
        "model": group.model,
        "dataset": group.dataset,
        "test": group.test,
        "method": row.method,
        "kind": row.kind,
        "seeds": row.seeds,
        "trainable_parameters": row.trainable_parameters,
        "percent": row.percent,
        "learning_rate": " ".join(f"{rate:g}" for rate in row.learning_rates) or None,
        "trials": row.trials or None,
        **_with_sd("dev_loss", row.dev_loss),
    }
    for name, result in row.results.items():
        record |= _with_sd(name, result.value)
        record |= {
            f"{name}_low": result.low,
            f"{name}_high": result.high,
            f"{name}_by_seed": " ".join(f"{value:.6g}" for value in result.by_seed),
            **_compared(name, result),
            f"{name}_signature": result.signature,
        }
        # Only where the metric has them, so that the columns of others stay as they are.
        if result.standard_error is not None:
            record[f"{name}_standard_error"] = result.standard_error
        record |= {f"{name}_{detail}": value for detail, value in result.details.items()}
        if result.notes:
            record[f"{name}_notes"] = " ".join(result.notes)
    return record | {key: row.costs.get(key) for key in COSTS}


def _compared(name: str, result: Result) -> dict[str, Any]:
    """How a method differs from the baseline. `p` is of methods, so it takes several seeds; `run_p`
    is of the runs of each seed.
    """
    compared = result.comparison
    difference = compared.difference if compared else None
    return {
        f"{name}_difference": difference.value if difference else None,
        f"{name}_difference_low": difference.low if difference else None,
        f"{name}_difference_high": difference.high if difference else None,
        f"{name}_p": difference.p if difference else None,
        f"{name}_run_p": " ".join(f"{run.p:.6g}" for run in compared.runs) if compared else None,
    }


def _with_sd(name: str, number: Mean | None) -> dict[str, float | None]:
    return {name: number.value if number else None, f"{name}_sd": number.sd if number else None}


def sheet(
    group: Group, rows: Sequence[Row], baseline: str, near: Mapping[str, Any] | None = None
) -> Sheet:
    """One group as a table for people: rounded, with units, the best of each score and the lowest
    dev loss marked. near: what compare_splits found of the test set.
    """
    metrics = {name: result.title for row in rows for name, result in row.results.items()}
    header = [
        "Method",
        "Kind",
        "Seeds",
        "Trained",
        "% of all",
        "Learning rate",
        "Trials",
        "Dev loss",
    ]
    runs_only = _runs_only(rows)
    for title in metrics.values():
        less, p = f"less {baseline}", "p"
        if runs_only:
            less, p = f"{less}, this run", "p, this run"
        header += [f"{title} [95\u00a0%]", f"{less} [95\u00a0%]", p]
    header += ["Training (s)", "Tokens/s", "Peak memory (GiB)", "Delta (MB)"]
    marks = _marks(rows)
    best = {name: best_of([r.results[name] for r in rows if name in r.results]) for name in metrics}
    lowest = min((row.dev_loss.value for row in rows if row.dev_loss), default=None)
    tuned_on = (
        f"{group.model} tuned on {group.dataset}, "
        if any(row.learning_rates for row in rows)
        else f"{group.model}, "
    )
    return Sheet(
        title=f"{tuned_on}tested on {group.test}",
        header=header,
        rows=[_cells(row, metrics, best, lowest, marks) for row in rows],
        notes=[
            *_notes(rows, metrics, baseline),
            *(_near(near) if near else []),
            *((mark, note) for note, mark in marks.items()),
        ],
    )


def best_of(results: Sequence[Result]) -> float:
    """The best value of one metric: the highest, or the lowest where lower is better."""
    values = [result.value.value for result in results]
    return max(values) if results[0].higher_is_better else min(values)


def _marks(rows: Sequence[Row]) -> dict[str, str]:
    """A mark for each note on any score: †, ‡, §, ¶, then these twice."""
    notes = dict.fromkeys(
        note for row in rows for result in row.results.values() for note in result.notes
    )
    return {note: "†‡§¶"[place % 4] * (place // 4 + 1) for place, note in enumerate(notes)}


def _cells(
    row: Row,
    metrics: Iterable[str],
    best: dict[str, float],
    lowest: float | None,
    marks: dict[str, str],
) -> list[Cell]:
    cells = [
        Cell(row.method),
        Cell(row.kind),
        Cell(str(row.seeds)),
        Cell(count(row.trainable_parameters)),
        Cell(f"{row.percent:.2f}"),
        (
            Cell(" or ".join(_rate(rate) for rate in row.learning_rates))
            if row.learning_rates
            else NONE
        ),
        Cell(str(row.trials)) if row.trials else NONE,
        (
            Cell(_rounded(row.dev_loss, 3), bold=row.dev_loss.value == lowest)
            if row.dev_loss
            else NONE
        ),
    ]
    for name in metrics:
        result = row.results.get(name)
        cells += [_score(result, best[name], marks), *_difference(result)] if result else [NONE] * 3
    formats = {
        "train_seconds": lambda v: f"{v:,.0f}",
        "tokens_per_second": lambda v: f"{v:,.0f}",
        "peak_memory_bytes": lambda v: f"{v / 2**30:.2f}",
        "delta_bytes": lambda v: f"{v / 1e6:,.1f}",
    }
    return cells + [
        Cell(formats[key](row.costs[key])) if key in row.costs else NONE for key in COSTS
    ]


def _score(result: Result, best: float, marks: dict[str, str]) -> Cell:
    digits = result.decimals
    interval = f"[{result.low:.{digits}f}, {result.high:.{digits}f}]"
    error = "" if result.standard_error is None else f", SE {result.standard_error:.{digits}f}"
    flags = "".join(marks[note] for note in result.notes)
    return Cell(
        _rounded(result.value, digits) + flags,
        bold=result.value.value == best,
        detail=interval + error,
    )


def _difference(result: Result) -> list[Cell]:
    """The method less the baseline with its interval, and p."""
    if result.comparison is None:
        return [NONE, NONE]
    found, digits = result.comparison.difference, result.decimals
    interval = (
        ""
        if found.low is None or found.high is None
        else f"[{found.low:+z.{digits}f}, {found.high:+z.{digits}f}]"
    )
    return [Cell(f"{found.value:+z.{digits}f}", detail=interval), Cell(_p(result.comparison.p))]


def _runs_only(rows: Sequence[Row]) -> bool:
    """Whether there is one seed, so that nothing can be said of methods."""
    compared = [r.comparison for row in rows for r in row.results.values() if r.comparison]
    return all(one.difference.seeds == 1 for one in compared)


def _rounded(number: Mean, digits: int) -> str:
    return f"{number.value:.{digits}f}" + (
        f" ± {number.sd:.{digits}f}" if number.sd is not None else ""
    )


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _rate(rate: float) -> str:
    mantissa, exponent = f"{rate:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def count(number: float) -> str:
    """A count of parameters as people say it: 12.3 M."""
    for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"


def _near(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    shares = ", ".join(
        f"{count:,} ({100 * count / found['rows']:.0f} %) at {100 * float(share):.0f} %"
        for share, count in found["near"].items()
    )
    return [
        (
            "Near duplicates",
            f"of {found['rows']:,} test rows so many have a train row that shares that much of their"
            f" words: {shares}.",
        )
    ]


def _notes(rows: Sequence[Row], metrics: dict[str, str], baseline: str) -> list[tuple[str, str]]:
    notes = [("Bold", "the best of each score, the lowest dev loss (nats per token).")]
    notes.append(
        (
            "[95\u00a0%]",
            (
                "interval over the test sentences (each score's signature says how): it says"
                " nothing about other training seeds."
            ),
        )
    )
    if any(result.standard_error is not None for row in rows for result in row.results.values()):
        notes.append(("SE", "standard error over the test sentences."))
    if any(row.seeds > 1 for row in rows):
        notes.append(
            (
                "Seeds",
                (
                    "numbers are means over seeds, ± their standard deviation; intervals are means"
                    " of each seed's."
                ),
            )
        )
    tests = dict.fromkeys(
        (result.title, result.test)
        for row in rows
        for result in row.results.values()
        if result.comparison
    )
    if tests and _runs_only(rows):
        notes.append(
            (
                "this run",
                (
                    f"there is one seed: the score less that of {baseline}'s run with its interval"
                    " over test rows, and the two-sided p of swapping rows between these two runs."
                    " They say nothing of what another seed would give, and so nothing of methods."
                ),
            )
        )
    elif tests:
        notes.append(
            (
                f"less {baseline}",
                (
                    "the difference of methods, paired by seed and row, with its interval over both"
                    " and a two-sided p, not corrected for the number of comparisons."
                ),
            )
        )
    for name, title in metrics.items():
        for signature in sorted(
            {row.results[name].signature for row in rows if name in row.results}
        ):
            notes.append((title, signature))
    return notes + [(title, test) for title, test in tests]
