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

The spec: {model: {trust_remote_code}, task, generation: {precision}}.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from neft import plugins
from neft.core import delta
from neft.generation import decoding, harness
from neft.generation.decoding import Answer
from neft.models import identity, runtime
from neft.script import parser, run
from neft.storage import files


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments().parse_args(argv)
    device = runtime.start(args.threads)
    spec = args.spec["task"]
    precision = args.spec["generation"]["precision"]
    task = plugins.load("tasks", spec["kind"])
    rows = files.read_rows(args.test)
    examples = files.read_rows(args.examples) if args.examples else []
    with tempfile.TemporaryDirectory() as scratch:
        if args.punkt:
            task.stage(args.punkt, Path(scratch))
        tasks = task.benchmark(
            rows, examples, spec
        )  # before the model is read: mistakes in the data show at once
        engine = load(args, device, precision, task.chat(spec))
        samples, results = harness.run(tasks, engine, spec.get("system"))
    outputs = {
        sample["doc"]["id"]: output(
            sample, task, spec, engine.answers.get((name, sample["doc_id"]))
        )
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
        "precision": precision,
        "threads": args.threads,
        "device": runtime.device_name(device),
        "lm_eval": metadata.version("lm_eval"),
        "results": results,
    }
    files.write_json(args.stats, stats)
    decoding.discard(args.parts)


def load(
    args: argparse.Namespace, device: torch.device, precision: str, chat: bool
) -> harness.Engine:
    """The model with what tuning changed in it, as lm-eval takes it."""
    base_hash = identity.base_hash(args.model, **args.spec["model"])
    model, tokenizer = runtime.load_model(args.model, precision, **args.spec["model"])
    if args.delta:
        delta.apply(model, delta.Delta.load(args.delta), base_hash)
    model.to(device).eval()
    return harness.Engine(
        model,
        tokenizer,
        chat=chat,
        batch_size=args.batch_size,
        parts=args.parts,
        identity={
            "spec": args.spec,
            "precision": precision,
            "base_hash": base_hash,
            "delta": files.sha256(args.delta) if args.delta else None,
            "test": files.sha256(args.test),
            "examples": files.sha256(args.examples) if args.examples else None,
        },
    )


def output(
    sample: dict[str, Any], task: ModuleType, spec: dict[str, Any], answer: Answer | None
) -> dict[str, Any]:
    """One row of the outputs; answer: what was generated, None where likelihoods were compared."""
    outcome = task.outcome(sample)
    return {
        "id": sample["doc"]["id"],
        "source": task.source(sample["doc"], spec),
        **{key: outcome.pop(key) for key in ("reference", "output", "text")},
        "finished": answer is None or answer.finished,
        "tokens": len(answer.tokens) + answer.finished if answer else 0,
        **outcome,
    }


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
    result.add_argument("--examples", type=Path, help="rows to show with their answers")
    result.add_argument(
        "--punkt",
        type=Path,
        nargs="+",
        help="NLTK's English sentence model: a wheel or the four files",
    )
    result.add_argument("--batch-size", type=int, required=True, help="prompts at once")
    result.add_argument("--threads", type=int, default=1, help="CPU threads")
    result.add_argument(
        "--parts",
        type=Path,
        required=True,
        help="folder to resume from after a kill; removed at success",
    )
    result.add_argument("--outputs", type=Path, required=True, help="write the answers")
    result.add_argument(
        "--stats", type=Path, required=True, help="write speed, counts and lm-eval's results"
    )
    return result


if __name__ == "__main__":
    run(main)
