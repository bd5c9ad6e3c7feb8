"""The command line of a tuning run: what `tune_model` and `train_probe` have in common."""

from __future__ import annotations

import argparse
from pathlib import Path

from neft.storage import files
from neft.training.tune import TuneInputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The files that every tuning run reads and writes."""
    parser.add_argument(
        "--model", type=Path, required=True, help="base model, a Hugging Face directory"
    )
    parser.add_argument(
        "--model-record", type=Path, required=True, help="its record, with the base hash"
    )
    parser.add_argument("--train", type=Path, required=True, help="rows to train on")
    parser.add_argument("--dev", type=Path, required=True, help="rows whose loss is measured")
    parser.add_argument(
        "--checkpoints",
        type=Path,
        required=True,
        help="folder to resume from after a kill; removed at success",
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--metrics", type=Path, required=True, help="write what the run cost and reached"
    )
    parser.add_argument("--history", type=Path, required=True, help="write the losses by step")


def inputs(
    args: argparse.Namespace, trust_remote_code: bool, mask: Path | None = None
) -> TuneInputs:
    """What the arguments say of a run's inputs."""
    return TuneInputs(
        model=args.model,
        base_hash=files.read_json(args.model_record)["base_hash"],
        train=args.train,
        dev=args.dev,
        checkpoints=args.checkpoints,
        mask=mask,
        trust_remote_code=trust_remote_code,
    )
