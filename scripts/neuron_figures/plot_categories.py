"""Draw how many neurons are strongly affected, suppressed and indirectly affected, for pairs of
models.

Reads   categories.json   as count_categories writes it
Writes  categories.png, categories.pdf
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from neft.analysis.ranking import by_pair, reach
from neft.reporting import figures
from neft.script import run
from neft.storage import files

# Grey levels and hatches that stay apart in print.
LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "strong": ("strongly affected", {"facecolor": "#303236"}),
    "suppressed": ("of these suppressed", {"facecolor": "#a9afb8", "hatch": "///"}),
    "indirect": ("of these indirectly affected", {"facecolor": "#f3f4f6", "hatch": "..."}),
}


def main(argv: Sequence[str] | None = None) -> None:
    arguments = figures.parser(__doc__)
    arguments.add_argument("--categories", required=True)
    args = arguments.parse_args(argv)

    found = files.read_json(args.categories)
    pairs = by_pair(found["pairs"])
    figure, axes = figures.panels(1, 1, 7.2, 1.6 + 0.62 * len(pairs))
    draw(axes[0, 0], pairs, found["unrelated"])
    places = f"more than {found['threshold']:,.0f} of {found['neurons']:,} places apart"
    # Over the whole figure: long names of pairs leave the axes too narrow for it.
    title = f"strongly affected: {places}{reach(pairs)}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold", wrap=True)
    figure.legend(loc="outside lower left", ncols=2, fontsize=9)
    figures.save(figure, args.png, args.pdf)


def draw(axes: Axes, pairs: dict[str, list[dict[str, Any]]], unrelated: float) -> None:
    """Three bars a pair, the first on top; a line from the lowest seed to the highest, and across
    all how many would be strongly affected between unrelated rankings.
    """
    axes.axvline(unrelated, color="#0072b2", linewidth=1.2, linestyle="--", label="unrelated ranks")
    for number, (category, (label, look)) in enumerate(LOOKS.items()):
        values = [[run[category] for run in runs] for runs in pairs.values()]
        y = np.arange(len(pairs)) + 0.27 * (number - 1)
        axes.barh(
            y,
            [np.mean(v) for v in values],
            height=0.25,
            label=label,
            edgecolor=figures.INK,
            linewidth=0.6,
            **look,
        )
        for place, counts in zip(y, values, strict=True):
            if len(counts) > 1:
                axes.plot(
                    [min(counts), max(counts)],
                    [place, place],
                    color="#d55e00",
                    linewidth=1.6,
                    marker="|",
                    markersize=6,
                )
            text = axes.annotate(
                f"{np.mean(counts):,.0f}",
                (max(counts), place),
                (6, 0),
                textcoords="offset points",
                va="center",
            )
            text.set_fontsize(8)
    axes.set_yticks(range(len(pairs)), list(pairs))
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    highest = max(run["strong"] for runs in pairs.values() for run in runs)
    axes.set_xlim(0, 1.15 * max(highest, unrelated, 1))
    axes.set_xlabel("neurons")
    figures.quiet_y(axes)


if __name__ == "__main__":
    run(main)
