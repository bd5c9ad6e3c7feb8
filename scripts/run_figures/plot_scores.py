"""Draw the scores of all methods with their 95 % intervals, one panel per metric.

Reads   results/<name>/{tune,score,compare}/…   as `make_table.py`
Writes  scores.png, scores.pdf
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from neft.reporting import figures
from neft.reporting.summary import Result, rows
from neft.results import runs
from neft.results.runs import Runs
from neft.schema import Strict
from neft.script import run


class Spec(Strict):
    """What is drawn."""

    runs: Runs
    baseline: str


def main(argv: Sequence[str] | None = None) -> None:
    arguments = figures.parser(__doc__, Spec)
    arguments.add_argument("--results", required=True, help="the folder results/<name>")
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    baseline = spec.baseline
    groups = runs.group(spec.runs)
    tables = [rows(args.results, group) for group in groups]
    metrics = [
        list(dict.fromkeys(name for row in table for name in row.results)) for table in tables
    ]
    height = 0.9 + 0.34 * max(len(table) for table in tables)
    figure, axes = figures.panels(len(groups), max(map(len, metrics)), 4.6, height, sharey="row")
    for line, (group, table) in enumerate(zip(groups, tables, strict=True)):
        for column, metric in enumerate(metrics[line]):
            results = {row.method: row.results[metric] for row in table if metric in row.results}
            draw(axes[line, column], results, baseline)
        for unused in axes[line, len(metrics[line]) :]:
            unused.set_axis_off()
        axes[line, 0].set_title(f"{group.model} · {group.dataset} → {group.test}", fontsize=10)
    figures.save(figure, args.png, args.pdf)


def draw(axes: Axes, results: dict[str, Result], baseline: str) -> None:
    """One metric: a dot and its interval a method, the first method on top; a thin line marks the
    baseline.
    """
    names = list(results)
    for place, (name, result) in enumerate(results.items()):
        axes.plot(
            [result.low, result.high],
            [place, place],
            color=figures.INK,
            linewidth=1.6,
            solid_capstyle="butt",
        )
        fill = "white" if name == baseline else figures.INK
        axes.plot(
            result.value.value,
            place,
            "o",
            color=figures.INK,
            markerfacecolor=fill,
            markersize=6.5,
            clip_on=False,
        )
        flag = "†" if result.notes else ""  # the table says why
        text = axes.annotate(
            f"{result.value.value:.{result.decimals}f}{flag}",
            (result.high, place),
            (8, 0),
            textcoords="offset points",
            va="center",
        )
        text.set(fontsize=9, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})
    if baseline in results:
        axes.axvline(
            results[baseline].value.value,
            color=figures.SOFT,
            linewidth=0.8,
            linestyle=(0, (4, 3)),
            zorder=0,
        )
    title = next((result.title for result in results.values()), "")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel(f"{title}, 95 % interval")
    # Some scores can fall below 0; the right end leaves room for the numbers.
    axes.set_xlim(
        min(0, *(result.low for result in results.values())),
        1.2 * (max(result.high for result in results.values()) or 1),
    )
    figures.quiet_y(axes)


if __name__ == "__main__":
    run(main)
