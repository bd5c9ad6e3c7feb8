"""How fast neurons are correlated with hidden states, against the bare matrix products.

Writes  benchmarks/results/utilization.DEVICE.json   {machine, rows}, and docs/benchmarks.md from all results

`products` multiplies vectors that are centred and of length one already, in float32, each layer's
states with all neurons at once, into memory that is there already: nothing that computes these
correlations does less. `neft` starts from the weights as they are stored, in bfloat16, rows or
columns, and ends with each neuron's highest correlation.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from measure import interleave, machine, ratio, result_file, spread

import report
from neft.analysis import utilization
from neft.models import runtime
from neft.storage import files


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write the result, renew the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, nargs="+", default=[576, 4096], help="hidden sizes")
    parser.add_argument(
        "--states",
        type=int,
        nargs="+",
        default=[64, 512, 2048],
        help="states of a layer held at once",
    )
    parser.add_argument("--neurons", type=int, default=2048, help="neurons of a matrix")
    parser.add_argument(
        "--layers", type=int, default=2, help="layers whose states a neuron is compared with"
    )
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write here instead, and no page")
    args = parser.parse_args(argv)
    device = runtime.start(args.threads)
    before = machine(device)
    rows = [
        row
        for hidden in args.hidden
        for states in args.states
        for row in compare(args, hidden, states, device)
    ]
    result = {
        "machine": before,
        "load_after": machine(device)["load"],
        "repeats": args.repeats,
        "rows": rows,
    }
    files.write_json(args.out or result_file("utilization", device), result)
    if not args.out:
        report.write()


def compare(
    args: argparse.Namespace, hidden: int, count: int, device: torch.device
) -> list[dict[str, Any]]:
    """Times of one size."""
    draw, neurons = torch.Generator().manual_seed(0), args.neurons
    rows = torch.randn(neurons, hidden, generator=draw).to(device, torch.bfloat16)
    columns = rows.t().contiguous().t()
    states = torch.randn(args.layers, count, hidden, generator=draw).to(device)
    for layer in states:
        utilization.unit(layer.clone(), layer)
    ready = utilization.unit(rows, torch.empty(neurons, hidden, device=device))
    product = torch.empty(neurons, count, device=device)

    def bare() -> None:
        for layer in states:
            torch.mm(ready, layer.t(), out=product)

    works = {
        "products": bare,
        "neft, rows": lambda: utilization.highest(rows, states),
        "neft, columns": lambda: utilization.highest(columns, states),
    }
    times = interleave(works, args.repeats, device)
    operations = 2 * args.layers * neurons * count * hidden
    sizes = {"hidden": hidden, "neurons": neurons, "states": count, "layers": args.layers}
    return [
        {
            "what": name, **sizes, **spread(times[name]), "gigaflops": 1e-9 * operations / spread(times[name])["seconds"],
            "share_of_products": ratio(times["products"], times[name]),
        }
        for name in works
    ]  # fmt: skip


if __name__ == "__main__":
    main()
