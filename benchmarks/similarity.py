"""How fast neurons are compared, against just reading the two checkpoints.

Writes  benchmarks/results/similarity.DEVICE.json   {machine, rows}, and docs/benchmarks.md from all results
        a pair of checkpoints (2 x 2 GiB) in a temporary folder, deleted at the end

All of it from a warm page cache and with the same reader and number of threads. `reading` brings
every tensor of both files into memory, one tensor at a time for each thread; `reused` reads the
same bytes into one small buffer again and again: that is the speed of copying from the page cache
and below what any program that keeps what it reads can reach.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measure import interleave, machine, ratio, result_file, show, spread
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig

import report
from neft.core import neurons
from neft.models import runtime
from neft.models.checkpoint import Checkpoint, Stored
from neft.selection import similarity
from neft.storage import files


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write the result, renew the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gib", type=float, default=2, help="size of one checkpoint")
    parser.add_argument(
        "--hidden", type=int, default=4096, help="hidden size; the MLP is 2.7 times as wide"
    )
    parser.add_argument("--repeats", type=int, default=7, help="rounds that count")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--folder", type=Path, help="make the pair in here (default: where temporary files go)"
    )
    parser.add_argument("--out", type=Path, help="write here instead, and no page")
    args = parser.parse_args(argv)
    device = runtime.start(args.threads)
    before = machine(device)
    rows = [
        row for dtype in (torch.bfloat16, torch.float32) for row in compare(args, dtype, device)
    ]
    result = {
        "machine": before,
        "load_after": machine(device)["load"],
        "repeats": args.repeats,
        "rows": rows,
    }
    files.write_json(args.out or result_file("similarity", device), result)
    if not args.out:
        report.write()


def compare(
    args: argparse.Namespace, dtype: torch.dtype, device: torch.device
) -> list[dict[str, Any]]:
    """Speeds in one storage format."""
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        pair = make_pair(Path(temporary), args.gib, args.hidden, dtype)
        tensors = [stored for folder in pair for stored in Checkpoint(folder).tensors.values()]
        whole = sum(stored.numel * stored.dtype.itemsize for stored in tensors)

        def read(one: Any) -> None:
            with ThreadPoolExecutor(args.threads) as pool:
                list(pool.map(one, tensors))

        modules = {
            "all modules": neurons.KINDS,
            "rows": ("up_proj", "gate_proj"),
            "columns": ("down_proj",),
        }
        works: dict[str, Any] = {
            "reading": lambda: read(Stored.read),
            "reused": lambda: read(read_and_forget),
        }
        for name, kinds in modules.items():
            works[name] = partial(similarity.distances, pair[0], pair[1], kinds, device=device.type)
        show(f"{dtype}: {whole / 2**30:.2f} GiB in all")
        times = interleave(works, args.repeats, device)
        sites = neurons.find(Checkpoint(pair[0]).skeleton)
        sizes = {
            name: sum(
                2 * s.count * s.length * dtype.itemsize for s in sites.values() if s.kind in kinds
            )
            for name, kinds in modules.items()
        }
    per_byte = {name: [t / sizes.get(name, whole) for t in times[name]] for name in works}
    return [
        {
            "dtype": str(dtype).removeprefix("torch."), "what": name, "bytes": sizes.get(name, whole), **spread(times[name]),
            "gigabytes_per_second": 1e-9 / spread(per_byte[name])["seconds"],
            "share_of_reading": ratio(per_byte["reading"], per_byte[name]),
        }
        for name in works
    ]  # fmt: skip


def make_pair(folder: Path, gib: float, hidden: int, dtype: torch.dtype) -> list[Path]:
    """Two checkpoints of a Llama of about this size, the second 1e-4 away from the first."""
    wide = hidden * 43 // 16
    layer = (4 * hidden * hidden + 3 * hidden * wide) * dtype.itemsize
    config = LlamaConfig(
        hidden_size=hidden, intermediate_size=wide, num_attention_heads=hidden // 16, vocab_size=64,
        num_hidden_layers=max(1, round(gib * 2**30 / layer)), tie_word_embeddings=True,
    )  # fmt: skip
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
        parameters = dict(model.named_parameters())
    # One stretch of random numbers for all: the speed does not depend on them.
    numbers = torch.randn(hidden * wide, generator=torch.Generator().manual_seed(0))
    result = []
    for name in ("base", "tuned"):
        path = folder / name
        config.save_pretrained(path)
        stored = numbers.to(dtype)
        tensors = {key: stored[: p.numel()].view(p.shape).clone() for key, p in parameters.items()}
        save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
        numbers = numbers + 0.014 * numbers.flip(0)
        result.append(path)
    return result


def read_and_forget(stored: Stored) -> None:
    """Read a tensor through one small buffer."""
    for _ in stored.blocks(0, stored.numel, (1 << 20) // stored.dtype.itemsize):
        pass


if __name__ == "__main__":
    main()
