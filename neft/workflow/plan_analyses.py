"""From the `analyses` block of a configuration to what its rules need: files, pairs, and the two
params of every rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from neft.config import mask_uses
from neft.config.analyses import Chosen, Tuned
from neft.results.runs import UNTUNED, utilization_file
from neft.workflow.plan import Plan, Wildcards, code, module, plain, spec


@dataclass(frozen=True)
class Pair:
    """Two files that are compared, and how tables and figures name them."""

    a: str
    b: str
    seed: int
    first: Path
    second: Path

    def names(self) -> dict[str, Any]:
        """What a spec says of the pair; the files are inputs of their own."""
        return {"a": self.a, "b": self.b, "seed": self.seed}


class AnalysisPlan:
    """What the analyses of a planned configuration ask for. Methods that take wildcards are used as
    params of the rule.
    """

    def __init__(self, plan: Plan) -> None:
        """Plan the analyses of a planned configuration."""
        self.config, self.analyses, self.root = (
            plan.config,
            plan.config.analyses,
            Path("results", plan.config.name),
        )

    def products(self) -> list[str]:
        """Every table and figure that is asked for."""
        tables = [
            f"overlap_{name}.{kind}"
            for name in self.analyses.overlaps
            for kind in ("csv", "md", "tex", "html")
        ]
        names = [
            f"{what}_{name}" for name in self.analyses.ranks for what in ("ranks", "categories")
        ]
        tables += [f"{name}.{kind}" for name in names for kind in ("csv", "json")]
        drawn = [f"{name}.{kind}" for name in names for kind in ("png", "pdf")]
        return [
            str(self.root / path)
            for path in (*(f"tables/{t}" for t in tables), *(f"figures/{f}" for f in drawn))
        ]

    def rank_pairs(self, name: str) -> list[Pair]:
        """The files that an analysis of ranks compares, for each pair and seed."""
        ranks = self.analyses.ranks[name]

        def label(side: Tuned) -> str:
            return _label(side.method, side.dataset if side.dataset != ranks.dataset else None)

        def file(side: Tuned, seed: int) -> Path:
            place = (side.dataset or ranks.dataset, side.method, seed)
            if (
                self.config.methods[side.method].kind == "base"
            ):  # the same whatever the training set and the seed
                place = (UNTUNED, side.method, 0)
            return utilization_file(self.root, ranks.model, *place, ranks.sample or ranks.dataset)

        return [
            Pair(label(pair.a), label(pair.b), seed, file(pair.a, seed), file(pair.b, seed))
            for pair in ranks.pairs
            for seed in self.config.seeds
        ]

    def mask_pairs(self, name: str) -> list[Pair]:
        """The masks that a table of overlaps compares, for each pair and seed; a pair that names
        both its seeds is one row.
        """
        overlaps = self.analyses.overlaps[name]

        def label(side: Chosen) -> str:
            return _label(
                side.mask, side.dataset if side.dataset != overlaps.dataset else None, side.seed
            )

        def file(side: Chosen, seed: int) -> Path:
            use = mask_uses.Use(side.mask, side.dataset or overlaps.dataset)
            return Path(
                f"{mask_uses.path(self.config, use, overlaps.model, side.seed or seed)}.safetensors"
            )

        return [
            Pair(label(pair.a), label(pair.b), seed, file(pair.a, seed), file(pair.b, seed))
            for pair in overlaps.pairs
            for seed in (
                self.config.seeds[:1] if pair.a.seed and pair.b.seed else self.config.seeds
            )
        ]

    def files(self, pairs: Sequence[Pair]) -> dict[str, list[str]]:
        """The inputs of a rule that compares pairs: the first of each and the second of each, in
        their order.
        """
        return {
            "first": [str(pair.first) for pair in pairs],
            "second": [str(pair.second) for pair in pairs],
        }

    def masks(self) -> list[str]:
        """Every mask that a table of overlaps reads, each once."""
        pairs = chain.from_iterable(self.mask_pairs(name) for name in self.analyses.overlaps)
        return [
            str(path)
            for path in dict.fromkeys(path for pair in pairs for path in (pair.first, pair.second))
        ]

    def rank_neurons(self, w: Wildcards) -> str:
        """How utilization is measured, and the prompts; not the memory, on which it doesn't depend
        but for rounding.
        """
        task = plain(self.config.datasets[w.sample].task)
        options = {
            key: value
            for key, value in plain(self.analyses.utilization).items()
            if key not in ("memory", "split")
        }
        return spec(
            model={"trust_remote_code": self.config.models[w.model].trust_remote_code},
            task=task,
            **options,
        )

    def rank_neurons_code(self, w: Wildcards) -> str:
        """The script (which can apply any kind of delta) and the task."""
        return code("rank_neurons", module("tasks", self.config.datasets[w.sample].task))

    def compare_ranks(self, w: Wildcards) -> str:
        """Names of the pairs and the buckets."""
        pairs = [pair.names() for pair in self.rank_pairs(w.ranks)]
        return spec(pairs=pairs, buckets=list(self.analyses.ranks[w.ranks].buckets))

    def count_categories(self, w: Wildcards) -> str:
        """Names of the pairs and what counts as strongly affected."""
        pairs = [pair.names() for pair in self.rank_pairs(w.ranks)]
        return spec(pairs=pairs, strong=plain(self.analyses.ranks[w.ranks].strong))

    def overlap_masks(self, w: Wildcards) -> str:
        """Names of the pairs and the table's title."""
        overlaps = self.analyses.overlaps[w.overlap]
        pairs = [pair.names() for pair in self.mask_pairs(w.overlap)]
        return spec(
            title=f"Neurons that masks share: {overlaps.model}, {overlaps.dataset}", pairs=pairs
        )


def _label(what: str, dataset: str | None, seed: int | None = None) -> str:
    """How one side of a pair is called: its method or mask, and what differs from the analysis."""
    parts = [*([dataset] if dataset else []), *([f"seed {seed}"] if seed else [])]
    return f"{what} ({', '.join(parts)})" if parts else what
