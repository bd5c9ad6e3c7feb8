"""Let a model answer every row of a test set: by greedy generation, or by the likelihood of each
answer that a task allows.

Reads   MODEL/              the base model
        delta.safetensors   what tuning changed in it (none: the untuned model)
        test.jsonl          rows of the task
Writes  outputs.jsonl       {id, source, reference, output (as the task reads it), text (all of it), finished, tokens}; where
                            answers are compared also scores, {answer: log-likelihood}: the output is the likeliest
        stats.json          {seconds, tokens, tokens_per_second, unfinished, extra_lines, cut (documents that lost their end),
                            precision, threads, device}
        PARTS/              while it runs; started again after a kill it goes on from there

The spec: {model: {trust_remote_code}, task, generation: {max_new_tokens, precision}}.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neft import plugins
from neft.core import delta
from neft.data import encode
from neft.generation import decoding
from neft.generation.likelihood import log_likelihoods
from neft.generation.settings import Generation
from neft.models import identity, runtime
from neft.script import parser, run
from neft.storage import files

Outputs = tuple[list[dict[str, Any]], float]


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments().parse_args(argv)
    settings, task_spec = Generation.model_validate(args.spec["generation"]), args.spec["task"]
    device = runtime.start(args.threads)
    precision = settings.precision
    task = plugins.load("tasks", task_spec["kind"])

    base_hash = identity.base_hash(args.model, **args.spec["model"])
    model, tokenizer = runtime.load_model(args.model, precision, **args.spec["model"])
    if args.delta:
        delta.apply(model, delta.Delta.load(args.delta), base_hash)
    model.to(device).eval()
    rows, cut = encode.shorten(tokenizer, files.read_rows(args.test), task, task_spec)
    resumable = {
        "batch_size": args.batch_size or settings.batch_size,
        "parts": args.parts,
        "identity": {
            "spec": args.spec,
            "precision": precision,
            "base_hash": base_hash,
            "delta": files.sha256(args.delta) if args.delta else None,
            "test": files.sha256(args.test),
        },
    }
    if task.choices(task_spec):
        outputs, seconds = compare(model, tokenizer, rows, task, task_spec, args.test, resumable)
    else:
        outputs, seconds = write(
            model, tokenizer, rows, task, task_spec, args.test, resumable, settings.max_new_tokens
        )
    files.write_rows(args.outputs, outputs)
    tokens = sum(row["tokens"] for row in outputs)
    stats = {
        "seconds": round(seconds, 3),
        "tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 1),
        "unfinished": sum(not row["finished"] for row in outputs),
        "extra_lines": sum(task.read(row["text"], task_spec)[1] for row in outputs),
        "cut": cut,
        "precision": precision,
        "threads": args.threads,
        "device": runtime.device_name(device),
    }
    files.write_json(args.stats, stats)
    decoding.discard(args.parts)


def write(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Mapping[str, Any]],
    task: Any,
    spec: Mapping[str, Any],
    where: Path,
    resumable: Mapping[str, Any],
    limit: int,
) -> Outputs:
    """Generate up to `limit` tokens for every row; and the seconds."""
    prompts = [encode.prompt_ids(tokenizer, task.messages(row, spec)) for row in rows]
    encode.check_room([len(prompt) + limit for prompt in prompts], rows, model, where)
    stops = encode.stop_tokens(model, tokenizer)
    answers, seconds = decoding.generate(model, prompts, stops, limit=limit, **resumable)
    outputs = []
    for row, answer in zip(rows, answers, strict=True):
        text = tokenizer.decode(answer.tokens, skip_special_tokens=True)
        # `tokens` counts the end token too.
        rest = {
            "text": text,
            "finished": answer.finished,
            "tokens": len(answer.tokens) + answer.finished,
        }
        outputs.append({**asked(row, task, spec), "output": task.read(text, spec)[0], **rest})
    return outputs, seconds


def compare(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Mapping[str, Any]],
    task: Any,
    spec: Mapping[str, Any],
    where: Path,
    resumable: Mapping[str, Any],
) -> Outputs:
    """Take the likeliest of the task's answers for every row (of equally likely ones the first);
    and the seconds.
    """
    words, stops = task.choices(spec), encode.stop_tokens(model, tokenizer)
    encoded = [encode.choices(tokenizer, task.messages(row, spec), words, stops) for row in rows]
    prompts, answers = [prompt for prompt, _ in encoded], [answer for _, answer in encoded]
    encode.check_room(
        [len(prompt) + max(map(len, some)) for prompt, some in encoded], rows, model, where
    )

    def score(batch: list[int]) -> list[list[float]]:
        return log_likelihoods(
            model, [prompts[number] for number in batch], [answers[number] for number in batch]
        )

    scored, seconds = decoding.in_batches(score, prompts, **resumable)
    outputs = []
    for row, some, values in zip(rows, answers, scored, strict=True):
        best = max(range(len(words)), key=values.__getitem__)
        scores = {word: round(value, 4) for word, value in zip(words, values, strict=True)}
        rest = {"text": words[best], "finished": True, "tokens": len(some[best]), "scores": scores}
        outputs.append({**asked(row, task, spec), "output": words[best], **rest})
    return outputs, seconds


def asked(row: Mapping[str, Any], task: Any, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in a row of the outputs whatever was answered."""
    return {"id": row["id"], "source": task.source(row, spec), "reference": task.target(row, spec)}


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    result = parser(__doc__)
    result.add_argument(
        "--model", type=Path, required=True, help="base model, a Hugging Face directory"
    )
    result.add_argument(
        "--delta", type=Path, help="what tuning changed in it; without it the untuned model answers"
    )
    result.add_argument("--test", type=Path, required=True, help="rows to answer")
    result.add_argument("--batch-size", type=int, help="prompts at once; default: the spec's")
    result.add_argument("--threads", type=int, default=1, help="CPU threads")
    result.add_argument(
        "--parts",
        type=Path,
        required=True,
        help="folder to resume from after a kill; removed at success",
    )
    result.add_argument("--outputs", type=Path, required=True, help="write the answers")
    result.add_argument("--stats", type=Path, required=True, help="write speed and counts")
    return result


if __name__ == "__main__":
    run(main)
