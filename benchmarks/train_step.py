"""What a training step costs, by method: time, memory, disk.

Reads   MODEL/                                    a Hugging Face directory of a Llama (default: the demo's 135M model, else a
                                                  random one of its shape); the wide model is random
Writes  benchmarks/results/train_step.DEVICE.json {machine, rows}, and docs/benchmarks.md from all results; rows of models,
                                                  batches and number formats that are not measured again stay

Times are of one process in which all contestants take turns, step by step. Peak memory and bytes on
disk are those of a contestant alone in a process of its own (`--alone`, used internally).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from contestants import NAMES, OF_ANY_SIZE, Contestant
from measure import (
    interleave,
    keep_freed_memory,
    machine,
    peak_bytes,
    ratio,
    result_file,
    return_freed_memory,
    show,
    spread,
)
from torch import Tensor, nn

import report
from neft.models import runtime
from neft.storage import files

DEMO = Path(__file__).parents[1] / "results/quickstart/model/smollm2-135m-instruct"
SHAPES: dict[str, dict[str, Any]] = {
    "135m": {
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True,
    },
    "wide": {
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 4, "num_attention_heads": 32,
        "num_key_value_heads": 32, "vocab_size": 32000, "tie_word_embeddings": True,
    },
    "tiny": {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 384, "tie_word_embeddings": True,
    },
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write the result, renew the page."""
    args = arguments().parse_args(argv)
    device = runtime.start(args.threads)
    if args.alone:
        print(json.dumps(alone(args, device)))
        return
    keep_freed_memory()
    file = args.out or result_file("train_step", device)
    for model in args.models:
        for precision in args.precisions:
            rows = compare(args, model, precision, device)
            # Each model and number format is kept as soon as it is done, in place of what was
            # there: a run may take an hour.
            old = files.read_json(file)["rows"] if file.exists() else []
            others = [row for row in old if report.workload(row) != report.workload(rows[0])]
            files.write_json(
                file, {"machine": machine(device), "rows": sorted(others + rows, key=place)}
            )
    if not args.out:
        report.write()


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=DEMO if DEMO.exists() else None,
        help="directory of the model `135m`",
    )
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=["135m", "wide"])
    parser.add_argument(
        "--precisions", nargs="+", choices=runtime.DTYPES, default=list(runtime.DTYPES)
    )
    parser.add_argument(
        "--fractions", nargs="+", type=float, default=[0.03, 0.09], help="of the model's parameters"
    )
    parser.add_argument("--contestants", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--repeats", type=int, default=9, help="rounds that count")
    parser.add_argument("--batch", type=int, default=16, help="rows in a step")
    parser.add_argument("--tokens", type=int, default=64, help="tokens in a row")
    parser.add_argument(
        "--answer", type=int, default=24, help="tokens of a row that are trained on, its last ones"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write here instead, and no page")
    parser.add_argument("--alone", choices=NAMES, help=argparse.SUPPRESS)
    return parser


def place(row: dict[str, Any]) -> tuple[int, int, bool]:
    """What rows are in order of: the model, the size of a batch, the number format."""
    return (
        list(SHAPES).index(row["model"]),
        row["batch"] * row["tokens"],
        row["precision"] != "float32",
    )


def compare(
    args: argparse.Namespace, name: str, precision: str, device: torch.device
) -> list[dict[str, Any]]:
    """All contestants on one model in one number format, in one process and in turns."""
    base = load(name, args.model).to(device)
    batch = data(args, base, device)
    entries = [
        (c, f)
        for f in args.fractions
        for c in args.contestants
        if c not in OF_ANY_SIZE or f == args.fractions[0]
    ]
    players = {
        f"{c} {f}": Contestant(c, base, f, precision, device, args.tokens) for c, f in entries
    }
    works = {key: partial(player.step, *batch) for key, player in players.items()}
    state: dict[str, int] = {}

    def after(key: str) -> None:
        state[key] = players[key].state_bytes()
        players[key].clear()

    show(f"{name} in {precision}: {', '.join(works)}")
    run: dict[str, Any] = {
        key: getattr(args, key) for key in ("batch", "tokens", "answer", "repeats", "threads")
    }
    run["load"] = machine(device)["load"]
    times = interleave(works, args.repeats, device, after)
    reference = times.get(f"limit {args.fractions[0]}", next(iter(times.values())))
    described = []
    for (contestant, fraction), key in zip(entries, works, strict=True):
        row = {
            "model": name, "precision": precision, "contestant": contestant,
            "fraction": None if contestant in OF_ANY_SIZE else fraction, "parameters": players[key].parameters,
            **spread(times[key]), "ratio": ratio(times[key], reference),
            "tokens_per_second": args.batch * args.tokens / spread(times[key])["seconds"], "state_bytes": state[key],
            **run,
        }  # fmt: skip
        described.append(row)
    for against in ("lora", "masked"):  # how many times as long neft takes, within the rounds
        for row, (contestant, fraction) in zip(described, entries, strict=True):
            if contestant == "neft" and f"{against} {fraction}" in times:
                row[f"ratio_to_{against}"] = ratio(
                    times[f"neft {fraction}"], times[f"{against} {fraction}"]
                )
    players.clear()
    works.clear()
    del base
    return_freed_memory()
    # What a process holds of a GPU doesn't depend on the others; a CPU's memory may not hold them
    # all.
    with ThreadPoolExecutor(1 if device.type == "cpu" else 4) as pool:
        found = list(pool.map(partial(in_own_process, args), described))
    return [row | own for row, own in zip(described, found, strict=True)]


def load(name: str, folder: Path | None) -> nn.Module:
    """A model in float32: read from its directory, or random. What the weights are does not change
    what a step costs.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    if name == "135m" and folder:
        return runtime.load_model(folder, "float32")[0]
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SHAPES[name]))


def data(args: argparse.Namespace, model: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """One batch of random tokens, `answer` of each row labelled: input ids and labels, int64
    [batch, tokens].
    """
    generator = torch.Generator().manual_seed(0)
    input_ids = torch.randint(
        3, model.config.vocab_size, (args.batch, args.tokens), generator=generator
    )
    labels = input_ids.clone()
    labels[:, : args.tokens - args.answer] = -100
    return input_ids.to(device), labels.to(device)


def in_own_process(args: argparse.Namespace, row: dict[str, Any]) -> dict[str, int]:
    """Peak memory and bytes on disk of one contestant that has a process to itself."""
    show(f"{row['model']} {row['precision']} {row['contestant']} {row['fraction'] or ''} alone")
    command = [sys.executable, __file__, "--alone", row["contestant"], "--models", row["model"]]
    command += [
        "--precisions",
        row["precision"],
        "--fractions",
        str(row["fraction"] or args.fractions[0]),
    ]
    for option in ("batch", "tokens", "answer", "threads"):
        command += [f"--{option}", str(getattr(args, option))]
    command += ["--model", str(args.model)] if args.model else []
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def alone(args: argparse.Namespace, device: torch.device) -> dict[str, int]:
    """Two steps of one contestant, in this process."""
    base = load(args.models[0], args.model)
    batch = data(args, base, device)
    player = Contestant(
        args.alone, base, args.fractions[0], args.precisions[0], device, args.tokens
    )
    del base
    for _ in range(2):
        player.clear()
        player.step(*batch)
    peak = peak_bytes(device)
    with tempfile.TemporaryDirectory() as folder:
        return {"peak_bytes": peak, "disk_bytes": player.disk_bytes(Path(folder))}


if __name__ == "__main__":
    main()
