"""The command line that all scripts share which ask a model about test rows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from neft.schema import Strict
from neft.storage import files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model, the rows, and how they are answered."""
    parser.add_argument(
        "--model", type=Path, required=True, help="base model, a Hugging Face directory"
    )
    parser.add_argument(
        "--delta", type=Path, help="what tuning changed in it; without it the untuned model answers"
    )
    parser.add_argument("--test", type=Path, required=True, help="rows to answer")
    parser.add_argument("--batch-size", type=int, required=True, help="prompts at once")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--parts",
        type=Path,
        required=True,
        help="folder to resume from after a kill; removed at success",
    )


def resumable(
    args: argparse.Namespace, spec: Strict, base_hash: str, **more: Any
) -> dict[str, Any]:
    """What `decoding.in_batches` needs to go on after a kill: batch size, folder, and what the
    answers depend on; more: what they depend on besides the files that all scripts read.
    """
    identity = {
        "spec": spec.model_dump(mode="json"),
        "base_hash": base_hash,
        "delta": files.sha256(args.delta) if args.delta else None,
        "test": files.sha256(args.test),
        **more,
    }
    return {"batch_size": args.batch_size, "parts": args.parts, "identity": identity}
