"""How likely does a model hold the right answer to every row of a test set for? Teacher-forced:
each token of the answer is predicted from the prompt and the tokens before it.

Reads   MODEL/              the base model
        delta.safetensors   what tuning changed in it (none: the untuned model)
        test.jsonl          rows of the task
Writes  losses.jsonl        {id, source, reference, loss (nats, summed over the answer and its end token), tokens,
                            right (how many of these were the likeliest)}
        PARTS/              while it runs; started again after a kill it goes on from there
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch

from neft import plugins
from neft.core import tuned
from neft.data import encode
from neft.generation import arguments as shared
from neft.generation import decoding
from neft.models import runtime
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files
from neft.training.loss import row_losses


class Spec(Strict):
    """The prompts and the precision."""

    task: Annotated[Any, plugins.block("tasks")]
    precision: Literal["float32", "bfloat16"]
    trust_remote_code: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    shared.add_arguments(arguments)
    arguments.add_argument("--losses", type=Path, required=True, help="write a loss for every row")
    args = arguments.parse_args(argv)

    spec: Spec = args.spec
    device = runtime.start(args.threads)
    task = plugins.load("tasks", spec.task.kind)
    loaded = tuned.load(args.model, args.delta, spec.precision, device, spec.trust_remote_code)
    model, tokenizer = loaded.model, loaded.tokenizer
    rows, _ = encode.shorten(tokenizer, files.read_rows(args.test), task, spec.task)
    stops = encode.stop_tokens(model, tokenizer)
    targets = [task.target(row, spec.task) for row in rows]
    examples = [
        encode.example(tokenizer, task.messages(row, spec.task), target, stops)
        for row, target in zip(rows, targets, strict=True)
    ]
    encode.check_room([len(one["input_ids"]) for one in examples], rows, model, args.test)

    @torch.inference_mode()
    def measure(batch: list[int]) -> list[dict[str, Any]]:
        padded = encode.pad([examples[number] for number in batch])
        losses, tokens, right = row_losses(
            model, padded["input_ids"].to(device), padded["labels"].to(device)
        )
        return [
            {"loss": round(loss, 6), "tokens": count, "right": hits}
            for loss, count, hits in zip(
                losses.tolist(), tokens.tolist(), right.tolist(), strict=True
            )
        ]

    found, _ = decoding.in_batches(
        measure,
        [one["input_ids"] for one in examples],
        what="reading",
        **shared.resumable(args, spec, loaded.base_hash),
    )
    files.write_rows(
        args.losses,
        [
            {"id": row["id"], "source": task.source(row), "reference": target} | one
            for row, target, one in zip(rows, targets, found, strict=True)
        ],
    )
    decoding.discard(args.parts)


if __name__ == "__main__":
    run(main)
