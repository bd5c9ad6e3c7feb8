"""Draw the neuron map: which share of each projection in each layer a mask selects.

Reads   mask.safetensors …   as `neft.core.mask.NeuronMask` saves them
Writes  neurons.png, neurons.pdf
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neft.analysis import neuron_arrays
from neft.reporting import figures
from neft.schema import Strict
from neft.script import run


class Spec(Strict):
    """Which masks the files are."""

    masks: tuple[str, ...]
    """A name for each file of `--masks`, in the same order."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = figures.parser(__doc__, Spec)
    arguments.add_argument("--masks", nargs="+", required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    masks = {
        name: neuron_arrays.load_mask(path)
        for name, path in zip(spec.masks, args.masks, strict=True)
    }
    maps = {name: neuron_arrays.shares(mask) for name, mask in masks.items()}
    rows = max(len(projections) for projections, _ in maps.values())
    layers = max(grid.shape[1] for _, grid in maps.values())
    figure, axes = figures.panels(
        len(maps), 1, max(6.0, 1.8 + 0.26 * layers), 0.85 + 0.34 * rows, sharex=True
    )
    highest = max(np.nanmax(grid) for _, grid in maps.values())
    for axis, (name, (projections, grid)) in zip(axes[:, 0], maps.items(), strict=True):
        # Light is little, dark is much: the order of this map survives print in grey.
        image = axis.imshow(
            grid, cmap="cividis_r", vmin=0, vmax=highest, aspect="auto", interpolation="nearest"
        )
        offered = sum(masks[name].offered.values())
        count = sum(len(numbers) for numbers in masks[name].chosen.values())
        axis.set_title(
            f"{name}: {count:,} of {offered:,} neurons ({100 * count / offered:.1f} %)", fontsize=10
        )
        axis.set_yticks(range(len(projections)), projections)
        axis.grid(False)
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
    axes[-1, 0].set_xlabel("layer")
    axes[-1, 0].set_xticks(range(0, layers, max(1, layers // 15)))
    figure.colorbar(
        image, ax=axes[:, 0], label="selected share (%)", pad=0.01, aspect=max(10, 8 * len(maps))
    )
    figures.save(figure, args.png, args.pdf)


if __name__ == "__main__":
    run(main)
