"""Draw how far neurons move in the ranking by utilization: by percentile of the first model's
ranking, and over all.

Reads   ranks.json   as compare_ranks writes it
Writes  ranks.png, ranks.pdf
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from neft.analysis.ranking import by_pair, reach
from neft.reporting import figures
from neft.script import run
from neft.storage import files


def main(argv: Sequence[str] | None = None) -> None:
    arguments = figures.parser(__doc__)
    arguments.add_argument("--ranks", required=True)
    args = arguments.parse_args(argv)

    found = files.read_json(args.ranks)
    pairs = by_pair(found["pairs"])
    figure, axes = figures.panels(1, 2, 5.4, max(3.6, 2.0 + 0.34 * len(pairs)))
    draw_buckets(axes[0, 0], pairs)
    draw_means(axes[0, 1], pairs)
    axes[0, 0].set_title(f"{found['neurons']:,} neurons{reach(pairs)}", fontsize=10)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower left",
        ncols=2,
        handlelength=3,
        fontsize=9,
    )
    figures.save(figure, args.png, args.pdf)


def draw_buckets(axes: Axes, pairs: dict[str, list[dict[str, Any]]]) -> None:
    """A line a pair over the buckets, the most used neurons first; bars reach from the lowest seed
    to the highest.
    """
    (first, *_), *_ = pairs.values()
    filled = [place for place, bucket in enumerate(first["buckets"]) if bucket["neurons"]]
    for number, (name, style) in enumerate(figures.styles(pairs).items()):
        # Seeds in rows. Lines stand a little apart, so that their bars can be told apart.
        values = np.array(
            [[run["buckets"][place]["mean"] for place in filled] for run in pairs[name]]
        )
        mean = values.mean(0)
        spread = [mean - values.min(0), values.max(0) - mean] if len(values) > 1 else None
        x = np.arange(len(filled)) + 0.3 * ((number + 0.5) / len(pairs) - 0.5)
        look: dict[str, Any] = {
            "color": style.color,
            "linestyle": style.line,
            "marker": style.marker,
            "markersize": 5,
            "linewidth": 1.4,
        }
        axes.errorbar(x, mean, yerr=spread, label=name, capsize=2, elinewidth=1, **look)
    unrelated = [first["buckets"][place]["unrelated"] for place in filled]
    axes.plot(
        unrelated,
        color=figures.SOFT,
        linewidth=0.9,
        linestyle=(0, (1, 2)),
        label="if the two had nothing in common",
    )
    labels = [
        f"{first['buckets'][place]['low']:g}–{first['buckets'][place]['high']:g}"
        for place in filled
    ]
    axes.set_xticks(range(len(filled)), labels, rotation=45, ha="right", rotation_mode="anchor")
    # Logarithmic, since what training moves is a small part of what chance would; straight below
    # one place, for the zeros.
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("neurons by utilization in the first model (top %)")
    axes.set_ylabel("mean |rank difference|\n(places)")


def draw_means(axes: Axes, pairs: dict[str, list[dict[str, Any]]]) -> None:
    """The mean over all neurons: a mark a pair, the first on top, and a line from the lowest seed
    to the highest.
    """
    for place, (name, style) in enumerate(figures.styles(pairs).items()):
        values = [run["mean"] for run in pairs[name]]
        axes.plot(
            [min(values), max(values)],
            [place, place],
            color=style.color,
            linewidth=1.6,
            solid_capstyle="butt",
        )
        axes.plot(
            statistics.mean(values),
            place,
            style.marker,
            color=style.color,
            markersize=6.5,
            clip_on=False,
        )
    axes.set_yticks(range(len(pairs)), list(pairs))
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.set_xlim(0, 1.1 * max(max(run["mean"] for runs in pairs.values() for run in runs), 1))
    axes.set_xlabel("mean |rank difference| over all neurons (places)")
    figures.quiet_y(axes)


if __name__ == "__main__":
    run(main)
