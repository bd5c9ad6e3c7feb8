"""Draw how far neurons turned in the probe, and where each mask cuts.

Reads   distances.safetensors   as `neft.selection.similarity` saves them: 0 unmoved … 2 reversed (1 − cosine similarity)
        mask.safetensors …      as `neft.core.mask.NeuronMask` saves them
Writes  similarity.png, similarity.pdf
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from neft.analysis import neuron_arrays
from neft.errors import NeftError
from neft.reporting import figures
from neft.schema import Strict
from neft.script import run

LINE = {"arrowstyle": "-", "shrinkA": 0, "shrinkB": 0, "color": figures.SOFT, "linewidth": 1}
"""A cut's line, where it leaves the panel."""


class Spec(Strict):
    """Which masks the files are."""

    masks: tuple[str, ...]
    """A name for each file of `--masks`, in the same order."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = figures.parser(__doc__, Spec)
    arguments.add_argument("--distances", required=True)
    arguments.add_argument("--masks", nargs="*", default=[])
    args = arguments.parse_args(argv)

    distances = neuron_arrays.load_distances(args.distances)
    kinds: dict[str, np.ndarray] = {}
    for module, values in distances.items():
        projection = neuron_arrays.place(module)[1]
        kinds[projection] = np.concatenate([kinds.get(projection, np.empty(0, np.float32)), values])
    moved = np.concatenate(list(kinds.values()))
    if not (moved > 0).any():
        raise NeftError(f"{args.distances}: no neuron moved at all; the probe trained nothing")
    spec: Spec = args.spec
    masks = {
        name: neuron_arrays.load_mask(path)
        for name, path in zip(spec.masks, args.masks, strict=True)
    }
    cuts = {name: neuron_arrays.find_cut(distances, mask) for name, mask in masks.items()}

    shown = {name: cut for name, cut in cuts.items() if cut and cut.at > 0}
    figure, axes = figures.panels(
        1, 1, 7.2, 4.2 + 0.25 * max(0, len(shown) - 2)
    )  # room for their names above the panel
    draw(axes[0, 0], kinds)
    mark(axes[0, 0], shown)
    figure.legend(loc="outside lower left", ncols=2, handlelength=3, fontsize=9)
    figures.save(figure, args.png, args.pdf)


def draw(axes: Axes, kinds: dict[str, np.ndarray]) -> None:
    """A histogram per kind of module over the logarithm of the distance; neurons that didn't move
    have none and are counted.
    """
    values = np.concatenate(list(kinds.values()))
    bins = np.geomspace(values[values > 0].min(), values.max() * 1.0001, 81)
    for (kind, distances), style in zip(kinds.items(), figures.styles(kinds).values(), strict=True):
        still = int((distances == 0).sum())
        label = f"{kind} ({len(distances):,} neurons" + (f", {still:,} unmoved)" if still else ")")
        share, _ = np.histogram(distances, bins)
        axes.stairs(
            100 * share / len(distances),
            bins,
            label=label,
            color=style.color,
            linestyle=style.line,
            linewidth=1.5,
            fill=False,
        )
    axes.set_xscale("log")
    axes.set_xlim(bins[0], bins[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("distance from the original direction, 1 − cosine similarity")
    axes.set_ylabel("share of the kind's neurons per bin (%)")


def mark(axes: Axes, cuts: dict[str, neuron_arrays.Cut]) -> None:
    """A line where a mask cuts; its name stands above the panel, on the side of the neurons that it
    selects.
    """
    across = blended_transform_factory(axes.transData, axes.transAxes)
    for row, (name, cut) in enumerate(sorted(cuts.items(), key=lambda item: -item[1].at)):
        axes.axvline(cut.at, color=figures.SOFT, linewidth=1)
        label, side, offset = (
            (f"{name} →", "left", 5) if cut.farthest else (f"← {name}", "right", -5)
        )
        # Points, and not shares of the panel's height, which is what the layout makes room from.
        for text, x, y, line in ((label, offset, 13 * row + 5, None), ("", 0, 13 * row + 14, LINE)):
            axes.annotate(
                text,
                (cut.at, 1),
                (x, y),
                across,
                "offset points",
                arrowprops=line,
                ha=side,
                fontsize=9,
            )


if __name__ == "__main__":
    run(main)
