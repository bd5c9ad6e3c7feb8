"""Draw what a score costs: quality against training time, memory and the size of what is stored, a
mark for each method.

Reads   results/<name>/{tune,score,compare}/…   as `make_table.py`
Writes  costs.png, costs.pdf
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from neft.reporting import figures
from neft.reporting.summary import Row, rows
from neft.results import runs
from neft.results.runs import Runs
from neft.schema import Strict
from neft.script import run

COSTS = {
    "train_seconds": ("training time (s)", 1.0),
    "peak_memory_bytes": ("peak memory of training (GiB)", 2.0**30),
    "delta_bytes": ("size of what is stored (MB)", 1e6),
}


class Spec(Strict):
    """What is drawn; of several metrics the first."""

    runs: Runs


def main(argv: Sequence[str] | None = None) -> None:
    arguments = figures.parser(__doc__, Spec)
    arguments.add_argument("--results", required=True, help="the folder results/<name>")
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    groups = runs.group(spec.runs)
    style = figures.styles(method for group in groups for method in group.methods)
    figure, axes = figures.panels(len(groups), len(COSTS), 4.0, 3.6, sharey="row", sharex="col")
    for line, group in zip(axes, groups, strict=True):
        table = rows(args.results, group)
        for axis, cost in zip(line, COSTS, strict=True):
            draw(axis, table, cost, style)
        line[0].set_ylabel(f"{next(iter(table[0].results.values())).title}, 95 % interval")
        line[0].set_title(f"{group.model} · {group.dataset} → {group.test}", fontsize=10)
    figures.legend_beside(axes[0, -1], len(style))
    figures.save(figure, args.png, args.pdf)


def draw(axes: Axes, table: Sequence[Row], cost: str, style: dict[str, figures.Style]) -> None:
    """One cost: a mark a method with the interval of its score; a thin line marks the untuned
    model, which costs nothing.
    """
    label, unit = COSTS[cost]
    for row in table:
        result = next(iter(row.results.values()))
        look = style[row.method]
        if cost in row.costs:
            x = row.costs[cost] / unit
            axes.plot(
                [x, x],
                [result.low, result.high],
                color=look.color,
                linewidth=1.1,
                solid_capstyle="butt",
            )
            marks: dict[str, Any] = {
                "color": look.color,
                "markerfacecolor": "white",
                "markeredgewidth": 1.3,
                "markersize": 9,
            }
            axes.plot(
                x,
                result.value.value,
                look.marker,
                linestyle="none",
                label=row.method,
                clip_on=False,
                **marks,
            )
        else:
            axes.axhline(
                result.value.value,
                color=figures.SOFT,
                linewidth=0.9,
                linestyle=(0, (4, 3)),
                zorder=0,
                label=row.method,
            )
    axes.set_xlabel(label)
    axes.margins(x=0.08)
    if cost == "delta_bytes":
        figures.log_x(axes)
    else:
        axes.set_xlim(left=0)


if __name__ == "__main__":
    run(main)
