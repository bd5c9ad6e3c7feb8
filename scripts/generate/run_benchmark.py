"""Let a model take a benchmark of lm-eval: IFEval or MMLU, on local rows.

Reads   MODEL/              the base model
        delta.safetensors   what tuning changed in it (none: the untuned model)
        test.jsonl          rows of the task
        examples.jsonl      answered questions to show before each question, if the task takes any
        punkt               NLTK's English sentence model (four files, or a wheel that holds them), if the task needs it
Writes  outputs.jsonl       {id, source, reference, output, text, finished, tokens} and what the task adds: IFEval
                            {instructions, strict, loose}, lists of the same length; MMLU {subject, scores: {letter:
                            log-likelihood}}
        stats.json          {seconds, tokens, tokens_per_second, unfinished, cut (prompts longer than the model's context),
                            precision, threads, device, lm_eval (its version), results (its own aggregates by task)}
        PARTS/              while it runs; started again after a kill it goes on from there
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import torch

from neft import plugins
from neft.core import tuned
from neft.generation import arguments as shared
from neft.generation import decoding, harness
from neft.generation.decoding import Answer
from neft.models import runtime
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files


class Spec(Strict):
    """The benchmark, and in which precision it is answered."""

    task: Annotated[Any, plugins.block("tasks")]
    precision: Literal["float32", "bfloat16"]
    trust_remote_code: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments().parse_args(argv)
    device = runtime.start(args.threads)
    spec: Spec = args.spec
    task = plugins.load("tasks", spec.task.kind)
    rows = files.read_rows(args.test)
    examples = files.read_rows(args.examples) if args.examples else []
    with tempfile.TemporaryDirectory() as scratch:
        if args.punkt:
            task.stage(args.punkt, Path(scratch))
        tasks = task.benchmark(
            rows, examples, spec.task
        )  # before the model is read: mistakes in the data show at once
        engine = load(args, device, task.chat(spec.task))
        system = getattr(spec.task, "system", None)
        samples, results = harness.run(tasks, engine, system)
    outputs = {
        sample["doc"]["id"]: output(sample, task, engine.answers.get((name, sample["doc_id"])))
        for name, found in samples.items()
        for sample in found
    }
    files.write_rows(args.outputs, [outputs[row["id"]] for row in rows])
    tokens = sum(row["tokens"] for row in outputs.values())
    stats = {
        "seconds": round(engine.seconds, 3),
        "tokens": tokens,
        "tokens_per_second": round(tokens / engine.seconds, 1),
        "unfinished": sum(not row["finished"] for row in outputs.values()),
        "cut": engine.cut,
        "precision": spec.precision,
        "threads": args.threads,
        "device": runtime.device_name(device),
        "lm_eval": metadata.version("lm_eval"),
        "results": results,
    }
    files.write_json(args.stats, stats)
    decoding.discard(args.parts)


def load(args: argparse.Namespace, device: torch.device, chat: bool) -> harness.Engine:
    """The model with what tuning changed in it, as lm-eval takes it."""
    spec: Spec = args.spec
    loaded = tuned.load(args.model, args.delta, spec.precision, device, spec.trust_remote_code)
    examples = files.sha256(args.examples) if args.examples else None
    return harness.Engine(
        loaded.model,
        loaded.tokenizer,
        chat=chat,
        **shared.resumable(args, spec, loaded.base_hash, examples=examples),
    )


def output(sample: dict[str, Any], task: ModuleType, answer: Answer | None) -> dict[str, Any]:
    """One row of the outputs; answer: what was generated, None where likelihoods were compared."""
    outcome = task.outcome(sample)
    return {
        "id": sample["doc"]["id"],
        "source": task.source(sample["doc"]),
        **{key: outcome.pop(key) for key in ("reference", "output", "text")},
        "finished": answer is None or answer.finished,
        "tokens": len(answer.tokens) + answer.finished if answer else 0,
        **outcome,
    }


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    result = parser(__doc__, Spec)
    shared.add_arguments(result)
    result.add_argument("--examples", type=Path, help="rows to show with their answers")
    result.add_argument(
        "--punkt",
        type=Path,
        nargs="+",
        help="NLTK's English sentence model: a wheel or the four files",
    )
    result.add_argument("--outputs", type=Path, required=True, help="write the answers")
    result.add_argument(
        "--stats", type=Path, required=True, help="write speed, counts and lm-eval's results"
    )
    return result


if __name__ == "__main__":
    run(main)
