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
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from neft import plugins
from neft.core import tuned
from neft.data import encode
from neft.generation import arguments as shared
from neft.generation import decoding
from neft.generation.likelihood import log_likelihoods
from neft.models import runtime
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files

Outputs = tuple[list[dict[str, Any]], float]


class Spec(Strict):
    """The prompts, and how they are answered."""

    task: Annotated[Any, plugins.block("tasks")]
    max_new_tokens: int
    precision: Literal["float32", "bfloat16"]
    trust_remote_code: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments().parse_args(argv)
    spec: Spec = args.spec
    device = runtime.start(args.threads)
    task = plugins.load("tasks", spec.task.kind)
    loaded = tuned.load(args.model, args.delta, spec.precision, device, spec.trust_remote_code)
    rows, cut = encode.shorten(loaded.tokenizer, files.read_rows(args.test), task, spec.task)
    resumable = shared.resumable(args, spec, loaded.base_hash)
    answer = compare if task.choices(spec.task) else write
    outputs, seconds = answer(loaded, rows, task, spec, args.test, resumable)
    files.write_rows(args.outputs, outputs)
    tokens = sum(row["tokens"] for row in outputs)
    stats = {
        "seconds": round(seconds, 3),
        "tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 1),
        "unfinished": sum(not row["finished"] for row in outputs),
        "extra_lines": sum(task.read(row["text"], spec.task)[1] for row in outputs),
        "cut": cut,
        "precision": spec.precision,
        "threads": args.threads,
        "device": runtime.device_name(device),
    }
    files.write_json(args.stats, stats)
    decoding.discard(args.parts)


def write(
    loaded: tuned.TunedModel,
    rows: Sequence[Mapping[str, Any]],
    task: Any,
    spec: Spec,
    where: Path,
    resumable: Mapping[str, Any],
) -> Outputs:
    """Generate an answer to every row; and the seconds."""
    model, tokenizer, limit = loaded.model, loaded.tokenizer, spec.max_new_tokens
    prompts = [encode.prompt_ids(tokenizer, task.messages(row, spec.task)) for row in rows]
    encode.check_room([len(prompt) + limit for prompt in prompts], rows, model, where)
    stops = encode.stop_tokens(model, tokenizer)
    answers, seconds = decoding.generate(model, prompts, stops, limit=limit, **resumable)
    outputs = []
    for row, answer in zip(rows, answers, strict=True):
        text = str(tokenizer.decode(answer.tokens, skip_special_tokens=True))
        # `tokens` counts the end token too.
        rest = {
            "text": text,
            "finished": answer.finished,
            "tokens": len(answer.tokens) + answer.finished,
        }
        output = task.read(text, spec.task)[0]
        outputs.append({**asked(row, task, spec), "output": output, **rest})
    return outputs, seconds


def compare(
    loaded: tuned.TunedModel,
    rows: Sequence[Mapping[str, Any]],
    task: Any,
    spec: Spec,
    where: Path,
    resumable: Mapping[str, Any],
) -> Outputs:
    """Take the likeliest of the task's answers for every row (of equally likely ones the first);
    and the seconds.
    """
    model, tokenizer = loaded.model, loaded.tokenizer
    words, stops = task.choices(spec.task), encode.stop_tokens(model, tokenizer)
    encoded = [
        encode.choices(tokenizer, task.messages(row, spec.task), words, stops) for row in rows
    ]
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


def asked(row: Mapping[str, Any], task: Any, spec: Spec) -> dict[str, Any]:
    """What stands in a row of the outputs whatever was answered."""
    return {
        "id": row["id"],
        "source": task.source(row),
        "reference": task.target(row, spec.task),
    }


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    result = parser(__doc__, Spec)
    shared.add_arguments(result)
    result.add_argument("--outputs", type=Path, required=True, help="write the answers")
    result.add_argument("--stats", type=Path, required=True, help="write speed and counts")
    return result


if __name__ == "__main__":
    run(main)
