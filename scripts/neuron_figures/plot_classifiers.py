"""Draw how well each layer's hidden states tell the classes of a task apart.

Reads   mask.json …   records of masks that the selector `probe` chose: report {accuracy: [per layer], majority, classes, rows}
Writes  classifiers.png, classifiers.pdf

--spec  {"masks": ["probe", …]}: a name for each file of --records, in the same order
"""

from __future__ import annotations

from collections.abc import Sequence

from neft.reporting import figures
from neft.script import parser, run
from neft.storage.files import read_json


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--records", nargs="+", required=True)
    arguments.add_argument("--png", required=True)
    arguments.add_argument("--pdf", required=True)
    args = arguments.parse_args(argv)

    reports = {
        name: read_json(path)["report"]
        for name, path in zip(args.spec["masks"], args.records, strict=True)
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
