"""Generate the answer to every row of a test set, greedily.

Reads   MODEL/              the base model
        delta.safetensors   what tuning changed in it (none: the untuned model)
        test.jsonl          rows of the task
Writes  outputs.jsonl       {id, source, reference, output (as the task reads it), text (all of it), finished, tokens}
        stats.json          {seconds, tokens, tokens_per_second, unfinished, extra_lines, precision, threads, device}
        PARTS/              while it runs; started again after a kill it goes on from there

The spec: {model: {trust_remote_code}, task, generation: {max_new_tokens, precision}}.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neft import delta, encode, files, generate, identity, plugins, runtime
from neft.cli import parser, run
from neft.generate import Answer
from neft.tuning import Generation


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments().parse_args(argv)
    settings = Generation.model_validate(args.spec["generation"])
    device = runtime.start(args.threads)
    precision = runtime.generation_precision(settings.precision, device)
    task = plugins.load("tasks", args.spec["task"]["kind"])
    rows = files.read_rows(args.test)

    base_hash = identity.base_hash(args.model, **args.spec["model"])
    model, tokenizer = runtime.load_model(args.model, precision, **args.spec["model"])
    if args.delta:
        delta.apply(model, delta.Delta.load(args.delta), base_hash)
    model.to(device).eval()
    stops = encode.stop_tokens(model, tokenizer)
    prompts = [encode.prompt_ids(tokenizer, task.messages(row, args.spec["task"])) for row in rows]
    answers, seconds = generate.generate(
        model,
        prompts,
        stops,
        limit=settings.max_new_tokens,
        batch_size=args.batch_size or settings.batch_size,
        parts=args.parts,
        identity={
            "spec": args.spec,
            "precision": precision,
            "base_hash": base_hash,
            "delta": files.sha256(args.delta) if args.delta else None,
            "test": files.sha256(args.test),
        },
    )
    texts = [tokenizer.decode(answer.tokens, skip_special_tokens=True) for answer in answers]
    outputs = [
        output(row, text, answer, task, args.spec["task"]) for row, text, answer in zip(rows, texts, answers, strict=True)
    ]
    files.write_rows(args.outputs, outputs)
    tokens = sum(row["tokens"] for row in outputs)
    stats = {
        "seconds": round(seconds, 3),
        "tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 1),
        "unfinished": sum(not answer.finished for answer in answers),
        "extra_lines": sum(task.read(text, args.spec["task"])[1] for text in texts),
        "precision": precision,
        "threads": args.threads,
        "device": runtime.device_name(device),
    }
    files.write_json(args.stats, stats)
    generate.discard(args.parts)


def output(row: dict[str, Any], text: str, answer: Answer, task: Any, spec: dict[str, Any]) -> dict[str, Any]:
    """One row of the outputs; `tokens` counts the end token too."""
    return {
        "id": row["id"],
        "source": task.source(row, spec),
        "reference": task.target(row, spec),
        "output": task.read(text, spec)[0],
        "text": text,
        "finished": answer.finished,
        "tokens": len(answer.tokens) + answer.finished,
    }


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    result = parser(__doc__)
    result.add_argument("--model", type=Path, required=True, help="base model, a Hugging Face directory")
    result.add_argument("--delta", type=Path, help="what tuning changed in it; without it the untuned model answers")
    result.add_argument("--test", type=Path, required=True, help="rows to answer")
    result.add_argument("--batch-size", type=int, help="prompts at once; default: the spec's")
    result.add_argument("--threads", type=int, default=1, help="CPU threads")
    result.add_argument("--parts", type=Path, required=True, help="folder to resume from after a kill; removed at success")
    result.add_argument("--outputs", type=Path, required=True, help="write the answers")
    result.add_argument("--stats", type=Path, required=True, help="write speed and counts")
    return result


if __name__ == "__main__":
    run(main)
