"""Masks and deltas of neurons: look into them, combine them, write them into a model; and recheck
finished results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from neft import commands
from neft.errors import NeftError


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command. A mistake becomes one message on standard error and exit status 1."""
    args = _parser().parse_args(argv)
    try:
        print(args.run(args))
    except NeftError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:
        pass  # whoever read the output, such as `head`, has seen enough
    except OSError as error:  # a full disk, a folder that may not be written, …
        sys.exit(f"error: {error.filename or ''}: {error.strerror or error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="neft", description=__doc__)
    subs = parser.add_subparsers(metavar="COMMAND", required=True)

    info = subs.add_parser("info", help="what a mask or a delta holds")
    info.add_argument("file", type=Path, metavar="FILE", help="a mask or delta (.safetensors)")
    info.add_argument(
        "--base",
        type=Path,
        metavar="DIR",
        help="the base model: shows also how far a delta moves it",
    )
    info.set_defaults(run=commands.info)

    merge = subs.add_parser(
        "merge", help="write the base model with a delta in it as a Hugging Face directory"
    )
    _add_base_and_delta(merge)
    merge.add_argument("out", type=Path, metavar="OUT", help="directory to write")
    merge.set_defaults(run=commands.merge)

    diff = subs.add_parser(
        "diff", help="the delta that leads from a model to a tuned one, bit for bit"
    )
    diff.add_argument("base", type=Path, metavar="BASE", help="Hugging Face directory")
    diff.add_argument(
        "tuned",
        type=Path,
        metavar="TUNED",
        help="Hugging Face directory of the same architecture and dtype",
    )
    diff.add_argument("out", type=Path, metavar="OUT", help="delta to write (.safetensors)")
    diff.set_defaults(run=commands.diff)

    export = subs.add_parser("export", help="write a delta as a PEFT LoRA adapter")
    _add_base_and_delta(export)
    export.add_argument("out", type=Path, metavar="OUT_DIR", help="directory to write")
    export.add_argument(
        "--rank",
        type=int,
        metavar="N",
        help="refuse a delta that needs a larger rank in some layer",
    )
    export.set_defaults(run=commands.export)

    masks = subs.add_parser("mask", help="combine or compare masks").add_subparsers(
        metavar="OPERATION", required=True
    )
    for operation, text in (
        ("union", "neurons in any of the masks"),
        ("intersection", "neurons in all of the masks"),
    ):
        combine = masks.add_parser(operation, help=text)
        combine.add_argument("masks", type=Path, nargs="+", metavar="MASK")
        combine.add_argument("out", type=Path, metavar="OUT", help="mask to write (.safetensors)")
        combine.set_defaults(run=commands.combine, operation=operation)
    overlap = masks.add_parser(
        "overlap", help="how many neurons two masks share, and how many by chance"
    )
    overlap.add_argument("masks", type=Path, nargs=2, metavar="MASK")
    overlap.set_defaults(run=commands.overlap)

    verify = subs.add_parser(
        "verify",
        help="recheck every hash in an experiment's results, and say what was made by what",
    )
    verify.add_argument(
        "results",
        type=Path,
        nargs="*",
        metavar="RESULTS",
        help="results/<name>; default: all experiments",
    )
    verify.set_defaults(run=commands.verify)

    for writer in (merge, diff, export, masks.choices["union"], masks.choices["intersection"]):
        writer.add_argument("--force", action="store_true", help="replace OUT if it exists")
    return parser


def _add_base_and_delta(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "base", type=Path, metavar="BASE", help="Hugging Face directory of the base model"
    )
    parser.add_argument("delta", type=Path, metavar="DELTA", help="delta (.safetensors)")


if __name__ == "__main__":
    main()
