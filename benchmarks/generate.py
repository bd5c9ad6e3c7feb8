"""How fast answers are generated, against the usual loops over `model.generate`.

Reads   MODEL/                                    a Hugging Face directory of a chat model (default: the demo's)
Writes  benchmarks/results/generate.DEVICE.json   {machine, settings, rows}, and docs/benchmarks.md from all results

`neft` is `decoding`; `one by one` calls `model.generate` with a prompt at a time, `unsorted` with
batches in the order of the prompts, padded on the left. All decode greedily with the same limit and
end tokens.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measure import interleave, machine, ratio, result_file, spread
from train_step import DEMO

import report
from neft.data import encode
from neft.generation import decoding
from neft.models import runtime
from neft.storage import files

TEXT = """The file could not be saved because another window has open settings for this notebook and a new terminal session
will start in the selected folder when you close all tabs or hide the left sidebar"""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write the result, renew the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=DEMO)
    parser.add_argument("--rows", type=int, default=64, help="prompts")
    parser.add_argument("--limit", type=int, default=48, help="tokens of an answer at most")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3, help="rounds that count")
    parser.add_argument("--precision", choices=runtime.DTYPES, default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write here instead, and no page")
    args = parser.parse_args(argv)
    device = runtime.start(args.threads)
    before = machine(device)
    model, tokenizer = runtime.load_model(args.model, args.precision, device=device)
    stops = encode.stop_tokens(model, tokenizer)
    prompts = [
        encode.prompt_ids(tokenizer, [{"role": "user", "content": text}])
        for text in requests(args.rows)
    ]

    ways = {
        "neft": partial(with_neft, model, prompts, stops, args.limit, args.batch),
        "unsorted": partial(with_transformers, model, prompts, stops, args.limit, args.batch),
        "one by one": partial(with_transformers, model, prompts, stops, args.limit, 1),
    }
    outputs: dict[str, list[list[int]]] = {}

    def answer(name: str) -> None:
        outputs[name] = ways[name]()

    times = interleave(
        {name: partial(answer, name) for name in ways},
        args.repeats,
        device,
    )
    tokens = sum(map(len, outputs["one by one"]))
    rows = [
        {
            "way": name, **spread(times[name]),
            "tokens_per_second": sum(map(len, outputs[name])) / spread(times[name])["seconds"],
            "times_as_long_as_neft": ratio(times[name], times["neft"]),
            "same_as_one_by_one": sum(map(list.__eq__, outputs[name], outputs["one by one"])) / args.rows,
        }
        for name in ways
    ]  # fmt: skip
    settings = {
        "prompts": args.rows,
        "limit": args.limit,
        "batch": args.batch,
        "precision": args.precision,
        "tokens": tokens,
    }
    result = {
        "machine": before,
        "load_after": machine(device)["load"],
        **settings,
        "repeats": args.repeats,
        "rows": rows,
    }
    files.write_json(args.out or result_file("generate", device), result)
    if not args.out:
        report.write()


def requests(count: int) -> list[str]:
    """Requests of very different length, as in a test set of single sentences."""
    draw, words = random.Random(0), TEXT.split()
    sentences = [" ".join(draw.choices(words, k=draw.randint(3, 40))) for _ in range(count)]
    return [
        f"Translate the following text into French.\n\n{sentence.capitalize()}."
        for sentence in sentences
    ]


def with_neft(
    model: Any, prompts: list[list[int]], stops: Collection[int], limit: int, batch: int
) -> list[list[int]]:
    """The project's own generation, the files that let it resume included."""
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {
            "limit": limit,
            "batch_size": batch,
            "parts": Path(folder),
            "identity": {},
        }
        answers, _ = decoding.generate(model, prompts, stops, **options)
    return [answer.tokens for answer in answers]


@torch.inference_mode()
def with_transformers(
    model: Any, prompts: list[list[int]], stops: Collection[int], limit: int, batch: int
) -> list[list[int]]:
    """The usual loop; answers without their end tokens."""
    answers = []
    for start in range(0, len(prompts), batch):
        some = prompts[start : start + batch]
        width = max(map(len, some))
        ids = torch.tensor([[0] * (width - len(p)) + p for p in some], device=model.device)
        mask = torch.tensor(
            [[0] * (width - len(p)) + [1] * len(p) for p in some], device=model.device
        )
        out = model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=limit,
            do_sample=False,
            eos_token_id=sorted(stops),
            pad_token_id=min(stops),
        )
        for row in out[:, width:].tolist():
            end = next((i for i, token in enumerate(row) if token in stops), len(row))
            answers.append(row[:end])
    return answers


if __name__ == "__main__":
    main()
