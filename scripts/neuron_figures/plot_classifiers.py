"""Draw how well each layer's hidden states tell the classes of a task apart.

Reads   mask.json …   records of masks that the selector `probe` chose: report {accuracy: [per layer], majority, classes, rows}
Writes  classifiers.png, classifiers.pdf
"""

from __future__ import annotations

from collections.abc import Sequence

from neft.reporting import figures
from neft.schema import Strict
from neft.script import run
from neft.storage.files import read_json


class Spec(Strict):
    """Which masks the records are of."""

    masks: tuple[str, ...]
    """A name for each file of `--records`, in the same order."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = figures.parser(__doc__, Spec)
    arguments.add_argument("--records", nargs="+", required=True)
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    reports = {
        name: read_json(path)["report"] for name, path in zip(spec.masks, args.records, strict=True)
    }
    figure, axes = figures.panels(1, 1, 7.2, 3.6)
    axis = axes[0, 0]
    for (name, report), style in zip(
        reports.items(), figures.styles(reports).values(), strict=True
    ):
        label = f"{name} ({len(report['classes'])} classes, {report['rows']['dev']:,} dev rows)"
        percent = [100 * share for share in report["accuracy"]]
        axis.plot(
            percent, label=label, color=style.color, linestyle=style.line, linewidth=1.5, marker="."
        )
        axis.axhline(100 * report["majority"], color=style.color, linestyle="--", linewidth=1)
    axis.set_xlabel("layer")
    axis.set_ylabel("accuracy on dev rows (%)")
    axis.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside lower left", ncols=2, handlelength=3, fontsize=9)
    figures.save(figure, args.png, args.pdf)


if __name__ == "__main__":
    run(main)
