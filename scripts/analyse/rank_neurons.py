"""How much does a model use each of its neurons?

Reads   MODEL/                     the base model
        delta.safetensors          what tuning changed in it (none: the untuned model)
        rows.jsonl                 rows of the task: prompt and answer are read as one text each
Writes  RANKING (safetensors)      per module float32 [neurons], the highest Pearson correlation with a hidden state, and bool
                                   [neurons], whether tuning trained it
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from neft import plugins
from neft.analysis import utilization
from neft.core import neurons, tuned
from neft.core.delta import Delta
from neft.data import encode
from neft.errors import NeftError
from neft.models import runtime
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files


class Spec(Strict):
    """What the model reads, and what is correlated with what."""

    task: Annotated[Any, plugins.block("tasks")]
    rows: int | None
    """How many of the rows, from the first; null: all."""
    max_length: int
    """Tokens of prompt and answer together; longer rows are left out."""
    modules: tuple[str, ...]
    against: Literal["before", "same-layer", "all"]
    pooling: Literal["token", "mean"]
    trust_remote_code: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments().parse_args(argv)
    spec: Spec = args.spec
    device = runtime.start(args.threads)
    task = plugins.load("tasks", spec.task.kind)
    rows = files.read_rows(args.rows)[: spec.rows]

    # Float32 on every device: a rank may hang on the last digit of a bfloat16 state.
    model, tokenizer, base_hash = tuned.load(
        args.model, args.delta, "float32", device, spec.trust_remote_code
    )
    stops = encode.stop_tokens(model, tokenizer)
    texts, _ = encode.examples(tokenizer, rows, task, spec.task, stops, spec.max_length)
    if not texts:
        raise NeftError(
            f"{args.rows}: none of {len(rows):,} rows has at most {spec.max_length:,} tokens;"
            " raise max_length"
        )
    sites = neurons.find(model, spec.modules)
    settings = {"against": spec.against, "pooling": spec.pooling}
    scores = utilization.utilization(
        model, [text["input_ids"] for text in texts], sites, **settings, memory=args.memory
    )
    text = {**settings, "rows": len(texts), "sha256": files.sha256(args.rows)}
    utilization.save(
        args.ranking,
        scores,
        utilization.trained_flags(Delta.load(args.delta) if args.delta else None, sites),
        {"base_hash": base_hash, "text": text},
    )


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    result = parser(__doc__, Spec)
    result.add_argument(
        "--model", type=Path, required=True, help="base model, a Hugging Face directory"
    )
    result.add_argument(
        "--delta",
        type=Path,
        help="what tuning changed in it; without it the untuned model is ranked",
    )
    result.add_argument("--rows", type=Path, required=True, help="rows to read")
    result.add_argument("--memory", type=int, default=1024, help="MiB for states and correlations")
    result.add_argument("--threads", type=int, default=1, help="CPU threads")
    result.add_argument("--ranking", type=Path, required=True, help="file to write")
    return result


if __name__ == "__main__":
    run(main)
