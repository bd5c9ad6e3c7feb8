"""Draw scores against the number of trained parameters: a line for each series of methods, with 95
% intervals.

Reads   results/<name>/{tune,score}/…   as `make_table.py`
Writes  budgets.png, budgets.pdf

There is a row of panels for each training set and a panel for each test set.
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


class Spec(Strict):
    """What is drawn: runs of one metric."""

    runs: Runs
    baseline: str
    series: tuple[tuple[str, tuple[str, ...]], ...]
    """The methods of each line, by its name in the legend."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = figures.parser(__doc__, Spec)
    arguments.add_argument("--results", required=True, help="the folder results/<name>")
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    baseline, series = spec.baseline, dict(spec.series)
    trained: dict[str, list[runs.Group]] = {}
    for group in runs.group(spec.runs):
        trained.setdefault(group.dataset, []).append(group)
    figure, axes = figures.panels(
        len(trained), max(map(len, trained.values())), 4.4, 3.4, sharex=True
    )
    for line, groups in zip(axes, trained.values(), strict=True):
        for axis, group in zip(line, groups, strict=False):
            draw(
                axis,
                {row.method: row for row in rows(args.results, group)},
                series,
                baseline,
            )
            axis.set_title(f"{group.dataset} → {group.test}", fontsize=10)
        for unused in line[len(groups) :]:
            unused.set_axis_off()
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=4, handlelength=3.5
    )
    figures.save(figure, args.png, args.pdf)


def draw(
    axes: Axes, table: dict[str, Row], series: dict[str, tuple[str, ...]], baseline: str
) -> None:
    """One training and test set: score over trained parameters; a thin line marks the baseline."""
    for number, (name, style) in enumerate(figures.styles(series).items()):
        points = sorted(
            (table[method] for method in series[name]), key=lambda row: row.trainable_parameters
        )
        results = [next(iter(row.results.values())) for row in points]
        values = [result.value.value for result in results]
        # A few percent apart, so that intervals of series with points of the same size can be told
        # apart.
        x = [row.percent * 1.03 ** (number - (len(series) - 1) / 2) for row in points]
        below = [
            max(0.0, value - result.low) for value, result in zip(values, results, strict=True)
        ]
        above = [
            max(0.0, result.high - value) for value, result in zip(values, results, strict=True)
        ]
        look: dict[str, Any] = {
            "color": style.color,
            "linestyle": style.line,
            "marker": style.marker,
            "markersize": 5.5,
            "linewidth": 1.5,
        }
        axes.errorbar(x, values, yerr=[below, above], label=name, capsize=2.5, elinewidth=1, **look)
    if baseline in table:
        result = next(iter(table[baseline].results.values()))
        axes.axhline(
            result.value.value,
            color=figures.SOFT,
            linewidth=0.9,
            linestyle=(0, (4, 3)),
            zorder=0,
            label=baseline,
        )
    title = next(result.title for row in table.values() for result in row.results.values())
    figures.log_x(axes)
    axes.set_xlabel("trained parameters (% of the model)")
    axes.set_ylabel(f"{title}, 95 % interval")


if __name__ == "__main__":
    run(main)
