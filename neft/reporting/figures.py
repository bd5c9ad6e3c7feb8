"""One look for all figures, and files that are the same bytes whenever they are drawn from the same
numbers.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, NullLocator

from neft import script
from neft.schema import Strict
from neft.storage.files import atomic

# Okabe and Ito's colours, safe for the colour-blind; line style and marker tell the same apart in
# print.
_COLORS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#777777")
_LINES = (
    "solid",
    (0, (5, 1.5)),
    (0, (1, 1.2)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
    "solid",
    (0, (5, 1.5)),
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")
INK, SOFT, GRID = "#1c1e21", "#5b616b", "#dfe3e8"

_STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # text stays text in the PDF
}


def parser(doc: str | None, spec: type[Strict] = Strict) -> ArgumentParser:
    """The command line of a script that draws: `neft.script.parser` with `--png` and `--pdf`."""
    result = script.parser(doc, spec)
    for kind in ("png", "pdf"):
        result.add_argument(f"--{kind}", required=True, help="file to write")
    return result


@dataclass(frozen=True)
class Style:
    """How one method is drawn, in every figure alike."""

    color: str
    line: str | tuple[int, tuple[float, ...]]
    marker: str


def styles(names: Iterable[str]) -> dict[str, Style]:
    """A style for each name, by its place; colours and markers repeat with different periods, so
    that many stay distinct.
    """
    return {
        name: Style(
            _COLORS[place % len(_COLORS)],
            _LINES[place % len(_LINES)],
            _MARKERS[place % len(_MARKERS)],
        )
        for place, name in enumerate(dict.fromkeys(names))
    }


def panels(
    rows: int, columns: int, width: float, height: float, **options: object
) -> tuple[Figure, np.ndarray]:
    """A figure of rows x columns panels, each of width x height inches, and its axes as an array
    [rows, columns].
    """
    matplotlib.rcParams.update(_STYLE)  # type: ignore[arg-type]  # its keys are a union of all there are
    around = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)  # inches
    figure = Figure(figsize=(width * columns, height * rows), layout=around)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)  # type: ignore[call-overload]


def save(figure: Figure, png: str | Path, pdf: str | Path) -> None:
    """Write a figure as PNG (200 dots per inch) and PDF, without the dates and versions that would
    change the bytes.
    """
    with atomic(png) as path:
        figure.savefig(path, format="png", dpi=200, metadata={"Software": None})
    with atomic(pdf) as path:
        figure.savefig(
            path, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None}
        )


def smooth(values: Sequence[float], weight: float = 0.9) -> list[float]:
    """Exponential moving average, corrected for its start (as Adam does), so that the first value
    isn't favoured.
    """
    result, average = [], 0.0
    for step, value in enumerate(values, start=1):
        average = weight * average + (1 - weight) * value
        result.append(average / (1 - weight**step))
    return result


def legend_beside(axes: Axes, entries: int, **options: object) -> None:
    """A legend of so many entries right of a panel; in two columns where one would be higher than
    3.6 inches.
    """
    columns = 1 if entries <= 14 else 2
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), ncols=columns, **options)


def log_x(axes: Axes) -> None:
    """A logarithmic x axis with plain numbers, the more to a decade the fewer decades what is drawn
    takes up.
    """
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    numbers = (1, 2, 3, 5, 7) if high < 10 * low else (1, 2, 5) if high < 100 * low else (1, 3)
    axes.xaxis.set_major_locator(LogLocator(10, numbers))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")


def quiet_y(axes: Axes) -> None:
    """Names on the y axis need no ticks and no grid lines across."""
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
