"""The page of the docs that shows what the benchmarks found.

Reads   benchmarks/results/*.json
Writes  docs/benchmarks.md, docs/train_step.DEVICE.png (and .pdf)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from measure import RESULTS

from neft.reporting import figures
from neft.storage import files

DOCS = Path(__file__).parents[1] / "docs"
BARS = {"limit": 1.08, "lora": 0.80, "masked": 0.60}
"""How long a step of neft may take at most, as a multiple of another's."""
WHERE = ["model", "batch", "precision", "of parameters"]
STATE_BAR, DISK_BAR, READING_BAR, PRODUCTS_BAR = 16.5, 2.05, 0.60, 0.50
INTRO = """# Benchmarks

Written by `python benchmarks/report.py` from `benchmarks/results/`; `make bench` measures again. All that is compared ran in
one process, in turns and in another order in each round, so that other work on the machine met all alike. Times are medians,
ratios medians over rounds, with the 95 % interval of the median (with fewer than six rounds, their range). The bars are those
the project sets itself; a bar that is missed says so, and one that the interval holds is not decided.
"""


def write(results: Path = RESULTS, docs: Path = DOCS) -> None:
    """Make the page from whatever results there are."""
    parts = [INTRO]
    for name, show in (
        ("train_step", train_step),
        ("similarity", similarity),
        ("utilization", utilization),
        ("generate", generate),
    ):
        for file in sorted(results.glob(f"{name}.*.json")):
            parts.append(show(files.read_json(file), docs, file.stem))
    files.write_text(docs / "benchmarks.md", "\n".join(parts))


def train_step(result: dict[str, Any], docs: Path, stem: str) -> str:
    """Table, bars and figure of one device."""
    rows = result["rows"]
    columns = [
        *WHERE,
        "method",
        "step, s",
        "x limit",
        "interval",
        "tokens/s",
        "state, bytes/parameter",
    ]
    cells = [
        [
            *where_in(row), row["contestant"], f"{row['seconds']:.3f}",
            f"{row['ratio']['median']:.2f}", interval(row["ratio"]), f"{row['tokens_per_second']:,.0f}",
            f"{per(row, 'state_bytes'):.2f}",
            f"{row['peak_bytes'] / 2**20:,.0f}", f"{row['disk_bytes'] / 2**20:,.1f}",
        ]
        for row in rows
    ]  # fmt: skip
    draw(rows, docs / f"{stem}.png")
    return "\n".join([
        f"## A training step: {where(result)}\n",
        *settings(rows),
        "\nPeak memory is that of a process of its own, on disk is what a run keeps, in bfloat16. `masked` is the published",
        "recipe: all gradients, multiplied by masks. On a CPU steps are timed in a process that keeps freed memory",
        "(`benchmarks/measure.py` says why), peaks are not.\n",
        table([*columns, "peak, MiB", "on disk, MiB"], cells),
        f"![Step time as a multiple of the limit]({stem}.png)\n",
        "`limit` beside a bar that is missed: what the limit itself takes of the other's time. What trains all layers can't",
        "undercut that by much.\n",
        table(["bar", *WHERE, "found", "interval", "in the fastest rounds", ""], bars(rows)),
    ])  # fmt: skip


def bars(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Every bar of every neft row: what it is, what was found, whether it is met."""
    found = []
    for row in rows:
        if row["contestant"] != "neft":
            continue
        where = where_in(row)
        for name, key in (
            ("limit", "ratio"),
            ("lora", "ratio_to_lora"),
            ("masked", "ratio_to_masked"),
        ):
            other = beside(rows, row, name)
            if key in row and other:
                measured, bar = row[key], BARS[name]
                judged = verdict(measured, bar, measured["median"] <= bar)
                if measured["median"] > bar and name != "limit":
                    judged += f" (limit {1 / other['ratio']['median']:.3f})"
                fastest = f"{row['fastest'] / other['fastest']:.3f}"
                step = f"step ≤ {bar:.2f} x {name}"
                found.append(
                    [
                        step,
                        *where,
                        f"{measured['median']:.3f}",
                        interval(measured, 3),
                        fastest,
                        judged,
                    ]
                )
        for name, key, bar in (
            ("state", "state_bytes", STATE_BAR),
            ("delta", "disk_bytes", DISK_BAR),
        ):
            value = per(row, key)
            found.append(
                [
                    f"{name} ≤ {bar} bytes/parameter",
                    *where,
                    f"{value:.3f}",
                    "",
                    "",
                    met(value <= bar),
                ]
            )
    return found


def beside(
    rows: Sequence[dict[str, Any]], row: dict[str, Any], contestant: str
) -> dict[str, Any] | None:
    """Another contestant's row of the same workload and size."""
    alike = [r for r in rows if workload(r) == workload(row) and r["contestant"] == contestant]
    return next((r for r in alike if r["fraction"] in (None, row["fraction"])), None)


def draw(rows: Sequence[dict[str, Any]], png: Path) -> None:
    """Step times as multiples of the limit: a panel for each workload."""
    groups = list(dict.fromkeys(map(workload, rows)))
    figure, axes = figures.panels(1, len(groups), 3.6, 3.6, sharex=True)
    for ax, group in zip(axes.flat, groups, strict=True):
        members = [row for row in rows if workload(row) == group][::-1]
        names = [f"{row['contestant']} {share(row)}".strip() for row in members]
        colors = ["#0072b2" if row["contestant"] == "neft" else "#bbbbbb" for row in members]
        middle, low, high = (
            [row["ratio"][key] for row in members] for key in ("median", "low", "high")
        )
        errors = [
            [m - e for m, e in zip(middle, low, strict=True)],
            [e - m for m, e in zip(middle, high, strict=True)],
        ]
        ax.barh(
            names,
            middle,
            xerr=errors,
            color=colors,
            error_kw={"ecolor": figures.INK, "elinewidth": 0.8},
        )
        ax.axvline(1, color=figures.INK, linewidth=0.8)
        model, batch, tokens, precision = group
        ax.set_title(f"{model}, {batch} x {tokens}, {precision}")
        ax.set_xlabel("step time, multiple of the limit")
        figures.quiet_y(ax)
    figures.save(figure, png, png.with_suffix(".pdf"))


def similarity(result: dict[str, Any], docs: Path, stem: str) -> str:
    """How fast neurons are compared on one device."""
    rows = [
        [
            row["dtype"], row["what"], f"{row['bytes'] / 2**30:.2f}", f"{row['gigabytes_per_second']:.2f}",
            f"{row['share_of_reading']['median']:.2f}", interval(row["share_of_reading"]),
            "" if row["what"] in ("reading", "reused") else at_least(READING_BAR, row["share_of_reading"]),
        ]
        for row in result["rows"]
    ]  # fmt: skip
    return "\n".join([
        f"## Comparing two checkpoints: {where(result)}, {load(result)}\n",
        "Page cache warm, the same reader and threads. `reading` brings both files into memory, tensor by tensor; `reused`",
        "copies them through one small buffer, which nothing that keeps what it reads can reach. Bar: 0.60 of reading.\n",
        table(["stored as", "what", "GiB", "GB/s", "of reading", "interval", "bar"], rows),
    ])  # fmt: skip


def utilization(result: dict[str, Any], docs: Path, stem: str) -> str:
    """How fast neurons are correlated with hidden states on one device."""
    rows = [
        [
            f"{row['hidden']:,}", f"{row['neurons']:,}", f"{row['layers']} x {row['states']:,}", row["what"],
            f"{1000 * row['seconds']:.1f}", f"{row['gigaflops']:,.0f}", f"{row['share_of_products']['median']:.2f}",
            interval(row["share_of_products"]),
            "" if row["what"] == "products" else at_least(PRODUCTS_BAR, row["share_of_products"]),
        ]
        for row in result["rows"]
    ]  # fmt: skip
    return "\n".join([
        f"## Correlating neurons with hidden states: {where(result)}, {load(result)}\n",
        "`products` multiplies float32 vectors that are centred and of length one already; `neft` starts from the bfloat16",
        "weights and ends with every neuron's highest correlation. Bar: 0.50 of the products' speed.\n",
        table(["hidden size", "neurons", "states", "what", "ms", "GFLOP/s", "of products", "interval", "bar"], rows),
    ])  # fmt: skip


def generate(result: dict[str, Any], docs: Path, stem: str) -> str:
    """How fast answers are generated on one device."""
    rows = [
        [
            row["way"], f"{row['seconds']:.1f}", f"{row['tokens_per_second']:,.0f}",
            f"{row['times_as_long_as_neft']['median']:.2f}",
            interval(row["times_as_long_as_neft"]), f"{row['same_as_one_by_one']:.0%}",
        ]
        for row in result["rows"]
    ]  # fmt: skip
    return "\n".join([
        f"## Generating: {where(result)}, {load(result)}\n",
        f"{result['prompts']} prompts, answers of at most {result['limit']} tokens, batches of {result['batch']}, "
        f"{result['precision']}.\n",
        table(["way", "seconds", "tokens/s", "x neft's time", "interval", "same answer as one by one"], rows),
    ])  # fmt: skip


def where(result: dict[str, Any]) -> str:
    """Where it ran."""
    found = result["machine"]
    return f"{found['device']}, torch {found['versions']['torch']}"


def load(result: dict[str, Any]) -> str:
    """With how many threads and beside how much other work."""
    found = result["machine"]
    return (
        f"{found['threads']} threads, load {found['load'][0]} before, {result['load_after'][0]}"
        " after"
    )


def settings(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each workload: what a step is and what else the machine did."""
    for group in dict.fromkeys(map(workload, rows)):
        row = next(row for row in rows if workload(row) == group)
        of_all = (
            f"{row['batch']} x {row['tokens']} tokens, the last {row['answer']} of a row trained on"
        )
        machine = f"{row['threads']} threads, load {row['load'][0]} at the start"
        yield f"- {row['model']}, {row['precision']}: {of_all}; {row['repeats']} rounds, {machine}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def interval(measured: dict[str, float], digits: int = 2) -> str:
    """A ratio's interval."""
    return f"{measured['low']:.{digits}f}–{measured['high']:.{digits}f}"


def workload(row: dict[str, Any]) -> tuple[str, int, int, str]:
    """What contestants are compared on: model, rows and tokens of a batch, number format."""
    return row["model"], row["batch"], row["tokens"], row["precision"]


def where_in(row: dict[str, Any]) -> list[str]:
    """The cells that say which workload and size a row is of."""
    return [row["model"], f"{row['batch']} x {row['tokens']}", row["precision"], share(row)]


def share(row: dict[str, Any]) -> str:
    """The fraction of parameters in percent, if the contestant has one."""
    return f"{row['fraction']:.0%}" if row["fraction"] else ""


def per(row: dict[str, Any], key: str) -> float:
    """Bytes for each trained parameter."""
    return float(row[key] / row["parameters"]) if row["parameters"] else 0.0


def met(ok: bool) -> str:
    """A bar's verdict."""
    return "met" if ok else "**missed**"


def verdict(measured: dict[str, float], bar: float, ok: bool) -> str:
    """The verdict of a ratio's median, and whether its interval leaves it open."""
    return met(ok) + (", not decided" if measured["low"] <= bar < measured["high"] else "")


def at_least(bar: float, measured: dict[str, float]) -> str:
    """The verdict on a share that should be no smaller than the bar."""
    return verdict(measured, bar, measured["median"] >= bar)


if __name__ == "__main__":
    write()
