"""Rankings of made-up models: what tables and figures of ranks are made from."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from neft.analysis import utilization

KEYS = [
    f"model.layers.{layer}.mlp.{kind}" for layer in range(3) for kind in ("up_proj", "down_proj")
]
NEURONS = 100


def write(folder: Path, seeds: tuple[int, ...] = (1,)) -> list[str]:
    """Rankings `a` and `b` of each seed, of which `b` trained the first ten neurons of each module.

    Returns the arguments that name them: --spec without options, --first, --second.
    """
    pairs = []
    for seed in seeds:
        draw = torch.Generator().manual_seed(seed)
        first = {key: torch.rand(NEURONS, generator=draw) for key in KEYS}
        second = {
            key: scores + 0.2 * torch.randn(NEURONS, generator=draw)
            for key, scores in first.items()
        }
        flags = {key: torch.arange(NEURONS) < 10 for key in KEYS}
        none = {key: torch.zeros(NEURONS, dtype=torch.bool) for key in KEYS}
        for name, scores, trained in (("a", first, none), ("b", second, flags)):
            utilization.save(
                folder / f"{name}{seed}", scores, trained, {"base_hash": "h", "text": {}}
            )
        pairs.append({"a": "base", "b": "neft", "seed": seed})
    files = {side: [str(folder / f"{side}{seed}") for seed in seeds] for side in "ab"}
    return ["--first", *files["a"], "--second", *files["b"], "--spec", json.dumps({"pairs": pairs})]


def with_options(arguments: list[str], **options) -> list[str]:
    """The arguments of `write` with more in the spec."""
    return [*arguments[:-1], json.dumps(json.loads(arguments[-1]) | options)]
