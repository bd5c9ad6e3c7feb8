"""Draw the loss curves of all tuned methods: by step, and by training time.

Reads   results/<name>/tune/…/chosen/history.jsonl   rows {split: train | dev, step, epoch, seconds, loss}
Writes  losses.png, losses.pdf

--spec  {"runs": […]} as for `make_table.py`; of a method with several seeds the first is drawn
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from neft import figures, files, runs
from neft.cli import parser, run
from neft.errors import NeftError

History = list[dict[str, Any]]


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--results", required=True, help="the folder results/<name>")
    arguments.add_argument("--png", required=True)
    arguments.add_argument("--pdf", required=True)
    args = arguments.parse_args(argv)

    chosen = runs.parse(args.spec["runs"])
    style = figures.styles(run.method for run in chosen)
    tunings = read(args.results, chosen)
    if not tunings:
        raise NeftError("runs: none of them is a tuned model, so there is no loss to draw")
    figure, axes = figures.panels(len(tunings), 3, 4.2, 3.6, sharey="row")
    for line, ((model, dataset), histories) in enumerate(tunings.items()):
        draw(axes[line], histories, style)
        axes[line, 0].set_ylabel(f"{model} · {dataset}\nloss (nats per token)")
    figures.save(figure, args.png, args.pdf)


def read(root: str, chosen: Sequence[runs.Run]) -> dict[tuple[str, str], dict[str, History]]:
    """Loss histories by (model, dataset) and method; a method tested on many sets was tuned once."""
    tunings: dict[tuple[str, str], dict[str, History]] = {}
    for one in chosen:
        histories = tunings.setdefault((one.model, one.dataset), {}) if one.tuned else {}
        path = runs.paths(root, one).history
        if path and one.method not in histories:
            histories[one.method] = files.read_rows(path)
    return tunings


def draw(axes: Sequence[Axes], histories: dict[str, History], style: dict[str, figures.Style]) -> None:
    """Three panels with one y axis: smoothed training loss by step, dev loss by step, dev loss by time."""
    panels = [
        ("train", "step", "Training loss, smoothed"),
        ("dev", "step", "Dev loss"),
        ("dev", "seconds", "Dev loss over time"),
    ]
    for axis, (split, x, title) in zip(axes, panels, strict=True):
        for method, history in histories.items():
            rows = [row for row in history if row["split"] == split]
            losses = [row["loss"] for row in rows]
            axis.plot(
                [row[x] for row in rows],
                figures.smooth(losses) if split == "train" else losses,
                label=method,
                color=style[method].color,
                linestyle=style[method].line,
                linewidth=1.5,
                marker=style[method].marker if split == "dev" else None,
                markersize=5,
            )
        axis.set_title(title)
        axis.set_xlabel("optimizer step" if x == "step" else "training time (s)")
        axis.set_xlim(left=0)
    axes[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=3.5)


if __name__ == "__main__":
    run(main)
