"""Draw loss curves of tuned methods: by step, and by training time.

Reads   results/<name>/tune/…/chosen/history.jsonl   rows {split: train | dev, step, epoch, seconds, loss}
Writes  losses.png, losses.pdf

Of a method with several seeds the mean is drawn, and a band from the lowest seed to the highest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from neft.reporting import figures
from neft.results import runs
from neft.results.runs import Runs
from neft.schema import Strict
from neft.script import run
from neft.storage import files

History = list[dict[str, Any]]


class Panels(Strict):
    """A row of panels."""

    title: str
    runs: Runs


class Spec(Strict):
    """What is drawn."""

    rows: tuple[Panels, ...]


def main(argv: Sequence[str] | None = None) -> None:
    arguments = figures.parser(__doc__, Spec)
    arguments.add_argument("--results", required=True, help="the folder results/<name>")
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    rows = [(row.title, row.runs) for row in spec.rows]
    style = figures.styles(run.method for _, chosen in rows for run in chosen)
    figure, axes = figures.panels(len(rows), 3, 4.2, 3.6, sharey="row")
    for line, (title, chosen) in zip(axes, rows, strict=True):
        draw(line, read(args.results, chosen), style)
        about = [
            f"{chosen[0].model} · {chosen[0].dataset}",
            *([title] if title else []),
            "loss (nats per token)",
        ]
        line[0].set_ylabel("\n".join(about))
    figures.save(figure, args.png, args.pdf)


def read(root: str, chosen: Sequence[runs.Run]) -> dict[str, list[History]]:
    """Loss histories by method, one for each seed."""
    histories: dict[str, list[History]] = {}
    for one in chosen:
        if path := runs.paths(root, one).history:
            histories.setdefault(one.method, []).append(files.read_rows(path))
    return histories


def draw(
    axes: Sequence[Axes], histories: dict[str, list[History]], style: dict[str, figures.Style]
) -> None:
    """Three panels with one y axis: smoothed training loss by step, dev loss by step, dev loss by
    time.
    """
    panels = [
        ("train", "step", "Training loss, smoothed"),
        ("dev", "step", "Dev loss"),
        ("dev", "seconds", "Dev loss over time"),
    ]
    for axis, (split, x, title) in zip(axes, panels, strict=True):
        for method, seeds in histories.items():
            times, losses = curves(seeds, split, x)
            look: dict[str, Any] = {
                "color": style[method].color,
                "linestyle": style[method].line,
                "linewidth": 1.5,
                "markersize": 5,
            }
            marker = style[method].marker if split == "dev" else None
            axis.plot(times.mean(0), losses.mean(0), label=method, marker=marker, **look)
            if len(seeds) > 1:
                axis.fill_between(
                    times.mean(0),
                    losses.min(0),
                    losses.max(0),
                    color=style[method].color,
                    alpha=0.15,
                    linewidth=0,
                )
        axis.set_title(title)
        axis.set_xlabel("optimizer step" if x == "step" else "training time (s)")
        axis.set_xlim(left=0)
        if x == "step":
            axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    figures.legend_beside(axes[-1], len(histories), handlelength=3.5)


def curves(seeds: Sequence[History], split: str, x: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps or seconds, and losses, [seeds, points] each; up to where the run ends that stopped
    first.
    """
    found = [[row for row in history if row["split"] == split] for history in seeds]
    points = min(map(len, found))
    losses = [[row["loss"] for row in rows] for rows in found]
    shown = [figures.smooth(line) for line in losses] if split == "train" else losses
    return np.array([[row[x] for row in rows[:points]] for rows in found]), np.array(
        [line[:points] for line in shown]
    )


if __name__ == "__main__":
    run(main)
