"""The page of the docs that shows what the benchmarks found.

Reads   benchmarks/results/*.json
Writes  docs/benchmarks.md, docs/train_step.DEVICE.png (and .pdf)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from measure import RESULTS

from neft import figures, files

DOCS = Path(__file__).parents[1] / "docs"
BARS = {"limit": 1.08, "lora": 0.80, "masked": 0.60}
"""How long a step of neft may take at most, as a multiple of another's."""
STATE_BAR, DISK_BAR, READING_BAR, PRODUCTS_BAR = 16.5, 2.05, 0.60, 0.50
INTRO = """# Benchmarks

Written by `python benchmarks/report.py` from `benchmarks/results/`; `make bench` measures again. All that is compared ran in
one process, in turns, so that other work on the machine met all alike; times are medians, ratios medians over rounds. The bars
are those the project sets itself; a bar that is missed says so.
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
    columns = ["model", "precision", "of parameters", "method", "step, s", "x limit", "tokens/s", "state, bytes/parameter"]
    cells = [
        [
            row["model"], row["precision"], share(row), row["contestant"], f"{row['seconds']:.3f}", f"{row['ratio']:.2f}",
            f"{row['tokens_per_second']:,.0f}", f"{per(row, 'state_bytes'):.2f}", f"{row['peak_bytes'] / 2**20:,.0f}",
            f"{row['disk_bytes'] / 2**20:,.1f}",
        ]
        for row in rows
    ]  # fmt: skip
    draw(rows, docs / f"{stem}.png")
    return "\n".join([
        f"## A training step: {where(result)}\n",
        *settings(rows),
        "\nPeak memory is that of a process of its own, on disk is what a run keeps, in bfloat16. `masked` is the published",
        "recipe: all gradients, multiplied by masks.\n",
        table([*columns, "peak, MiB", "on disk, MiB"], cells),
        f"![Step time as a multiple of the limit]({stem}.png)\n",
        "`limit` beside a bar that is missed: what the limit itself takes of the other's time. What trains all layers can't",
        "undercut that by much.\n",
        table(["bar", "model", "precision", "of parameters", "found", "in the fastest rounds", ""], bars(rows)),
    ])  # fmt: skip


def bars(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Every bar of every neft row: what it is, what was found, whether it is met."""
    found = []
    for row in rows:
        if row["contestant"] != "neft":
            continue
        where = [row["model"], row["precision"], share(row)]
        for name, key in (("limit", "ratio"), ("lora", "ratio_to_lora"), ("masked", "ratio_to_masked")):
            other = beside(rows, row, name)
            if key in row and other:
                verdict = met(row[key] <= BARS[name])
                if row[key] > BARS[name] and name != "limit":
                    verdict += f" (limit {1 / other['ratio']:.3f})"
                fastest = f"{row['fastest'] / other['fastest']:.3f}"
                found.append([f"step ≤ {BARS[name]:.2f} x {name}", *where, f"{row[key]:.3f}", fastest, verdict])
        for name, key, bar in (("state", "state_bytes", STATE_BAR), ("delta", "disk_bytes", DISK_BAR)):
            value = per(row, key)
            found.append([f"{name} ≤ {bar} bytes/parameter", *where, f"{value:.3f}", "", met(value <= bar)])
    return found


def beside(rows: Sequence[dict[str, Any]], row: dict[str, Any], contestant: str) -> dict[str, Any] | None:
    """Another contestant's row of the same model, number format and size."""
    alike = [r for r in rows if all(r[key] == row[key] for key in ("model", "precision")) and r["contestant"] == contestant]
    return next((r for r in alike if r["fraction"] in (None, row["fraction"])), None)


def draw(rows: Sequence[dict[str, Any]], png: Path) -> None:
    """Step times as multiples of the limit: a panel for each model and number format."""
    groups = list(dict.fromkeys((row["model"], row["precision"]) for row in rows))
    figure, axes = figures.panels(1, len(groups), 3.6, 3.6, sharex=True)
    for ax, group in zip(axes.flat, groups, strict=True):
        members = [row for row in rows if (row["model"], row["precision"]) == group][::-1]
        names = [f"{row['contestant']} {share(row)}".strip() for row in members]
        colors = ["#0072b2" if row["contestant"] == "neft" else "#bbbbbb" for row in members]
        ax.barh(names, [row["ratio"] for row in members], color=colors)
        ax.axvline(1, color=figures.INK, linewidth=0.8)
        ax.set_title(f"{group[0]}, {group[1]}")
        ax.set_xlabel("step time, multiple of the limit")
        figures.quiet_y(ax)
    figures.save(figure, png, png.with_suffix(".pdf"))


def similarity(result: dict[str, Any], docs: Path, stem: str) -> str:
    """How fast neurons are compared on one device."""
    rows = [
        [
            row["dtype"], row["what"], f"{row['bytes'] / 2**30:.2f}", f"{row['gigabytes_per_second']:.2f}",
            f"{row['share_of_reading']:.2f}",
            "" if row["what"] in ("reading", "reused") else met(row["share_of_reading"] >= READING_BAR),
        ]
        for row in result["rows"]
    ]  # fmt: skip
    return "\n".join([
        f"## Comparing two checkpoints: {where(result)}, {load(result)}\n",
        "Page cache warm, the same reader and threads. `reading` brings both files into memory, tensor by tensor; `reused`",
        "copies them through one small buffer, which nothing that keeps what it reads can reach. Bar: 0.60 of reading.\n",
        table(["stored as", "what", "GiB", "GB/s", "of reading", "bar"], rows),
    ])  # fmt: skip


def utilization(result: dict[str, Any], docs: Path, stem: str) -> str:
    """How fast neurons are correlated with hidden states on one device."""
    rows = [
        [
            f"{row['hidden']:,}", f"{row['neurons']:,}", f"{row['layers']} x {row['states']:,}", row["what"],
            f"{1000 * row['seconds']:.1f}", f"{row['gigaflops']:,.0f}", f"{row['share_of_products']:.2f}",
            "" if row["what"] == "products" else met(row["share_of_products"] >= PRODUCTS_BAR),
        ]
        for row in result["rows"]
    ]  # fmt: skip
    return "\n".join([
        f"## Correlating neurons with hidden states: {where(result)}, {load(result)}\n",
        "`products` multiplies float32 vectors that are centred and of length one already; `neft` starts from the bfloat16",
        "weights and ends with every neuron's highest correlation. Bar: 0.50 of the products' speed.\n",
        table(["hidden size", "neurons", "states", "what", "ms", "GFLOP/s", "of products", "bar"], rows),
    ])  # fmt: skip


def generate(result: dict[str, Any], docs: Path, stem: str) -> str:
    """How fast answers are generated on one device."""
    rows = [
        [
            row["way"], f"{row['seconds']:.1f}", f"{row['tokens_per_second']:,.0f}", f"{row['times_as_long_as_neft']:.2f}",
            f"{row['same_as_one_by_one']:.0%}",
        ]
        for row in result["rows"]
    ]  # fmt: skip
    return "\n".join([
        f"## Generating: {where(result)}, {load(result)}\n",
        f"{result['prompts']} prompts, answers of at most {result['limit']} tokens, batches of {result['batch']}, "
        f"{result['precision']}.\n",
        table(["way", "seconds", "tokens/s", "x neft's time", "same answer as one by one"], rows),
    ])  # fmt: skip


def where(result: dict[str, Any]) -> str:
    """Where it ran."""
    found = result["machine"]
    return f"{found['device']}, torch {found['versions']['torch']}"


def load(result: dict[str, Any]) -> str:
    """With how many threads and beside how much other work."""
    found = result["machine"]
    return f"{found['threads']} threads, load {found['load'][0]} before, {result['load_after'][0]} after"


def settings(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each model and number format: what a step is and what else the machine did."""
    for model, precision in dict.fromkeys((row["model"], row["precision"]) for row in rows):
        row = next(row for row in rows if (row["model"], row["precision"]) == (model, precision))
        yield (
            f"- {model}, {precision}: {row['batch']} rows of {row['tokens']} tokens, the last {row['answer']} trained on; "
            f"{row['repeats']} rounds in {row['order']} order, {row['threads']} threads, load {row['load'][0]} at the start"
        )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def share(row: dict[str, Any]) -> str:
    """The fraction of parameters in percent, if the contestant has one."""
    return f"{row['fraction']:.0%}" if row["fraction"] else ""


def per(row: dict[str, Any], key: str) -> float:
    """Bytes for each trained parameter."""
    return float(row[key] / row["parameters"]) if row["parameters"] else 0.0


def met(ok: bool) -> str:
    """A bar's verdict."""
    return "met" if ok else "**missed**"


if __name__ == "__main__":
    write()
