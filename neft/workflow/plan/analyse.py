"""The stage `analyse`: the `analyses` block of a configuration, as files and pairs of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from neft.config.analyses import MaskSide, ModelSide
from neft.config.mask_uses import Use
from neft.results.runs import UNTUNED, Run
from neft.workflow.params import Stage, Wildcards, code, module, plain, spec
from neft.workflow.plan.generate import GeneratePlan
from neft.workflow.plan.model import ModelPlan
from neft.workflow.plan.select import SelectPlan


@dataclass(frozen=True)
class FilePair:
    """Two files that are compared, and how tables and figures name them."""

    a: str
    b: str
    seed: int
    first: Path
    second: Path
    references: tuple[tuple[str, Path], ...] = ()
    """What stands beside them, by name."""

    def names(self) -> dict[str, Any]:
        """What a spec says of the pair; the files are inputs of their own."""
        return {"a": self.a, "b": self.b, "seed": self.seed}


class AnalysePlan(Stage):
    """The analyses of a configuration."""

    def products(self) -> list[str]:
        """Every table and figure that is asked for."""
        names = [
            f"{what}_{name}"
            for name in self.config.analyses.ranks
            for what in ("ranks", "categories")
        ]
        files = [
            *(
                self.layout.table(f"overlap_{name}", suffix)
                for name in self.config.analyses.overlaps
                for suffix in ("csv", "md", "tex", "html")
            ),
            *(self.layout.table(name, suffix) for name in names for suffix in ("csv", "json")),
            *(self.layout.figure(name, suffix) for name in names for suffix in ("png", "pdf")),
        ]
        return list(map(str, files))

    def rank_pairs(self, name: str) -> list[FilePair]:
        """The files that an analysis of ranks compares, for each pair and seed."""
        ranks = self.config.analyses.ranks[name]

        def label(side: ModelSide) -> str:
            return _label(side.method, side.dataset if side.dataset != ranks.dataset else None)

        def file(side: ModelSide, seed: int) -> Path:
            dataset, kind = side.dataset or ranks.dataset, self.config.methods[side.method].kind
            if kind == "base":  # the same whatever the training set and the seed
                dataset, seed = UNTUNED, 0
            sample = ranks.sample or ranks.dataset
            run = Run(ranks.model, dataset, side.method, kind, seed, sample)
            return self.layout.utilization(run, sample)

        return [
            FilePair(label(pair.a), label(pair.b), seed, file(pair.a, seed), file(pair.b, seed))
            for pair in ranks.pairs
            for seed in self.config.seeds
        ]

    def mask_pairs(self, name: str) -> list[FilePair]:
        """The masks that a table of overlaps compares, for each pair and seed; a pair that names
        both its seeds is one row.
        """
        overlaps = self.config.analyses.overlaps[name]

        def label(side: MaskSide) -> str:
            return _label(
                side.mask, side.dataset if side.dataset != overlaps.dataset else None, side.seed
            )

        def file(side: MaskSide, seed: int) -> Path:
            use = Use(side.mask, side.dataset or overlaps.dataset)
            return SelectPlan(self.config).mask(use, overlaps.model, side.seed or seed)

        return [
            FilePair(
                label(pair.a),
                label(pair.b),
                seed,
                file(pair.a, seed),
                file(pair.b, seed),
                tuple((mask, file(MaskSide(mask=mask), seed)) for mask in pair.references),
            )
            for pair in overlaps.pairs
            for seed in (
                self.config.seeds[:1] if pair.a.seed and pair.b.seed else self.config.seeds
            )
        ]

    def masks(self) -> list[str]:
        """Every mask that a table of overlaps reads, each once."""
        pairs = chain.from_iterable(self.mask_pairs(name) for name in self.config.analyses.overlaps)
        return [
            str(path)
            for path in dict.fromkeys(
                path
                for pair in pairs
                for path in (pair.first, pair.second, *(path for _, path in pair.references))
            )
        ]

    def rank_neurons_inputs(self, w: Wildcards) -> dict[str, Any]:
        """The tuned model, and the rows that it reads."""
        rows = self.layout.split(w.sample, self.config.analyses.utilization.split)
        return GeneratePlan(self.config).generate_outputs_inputs(w) | {"rows": rows}

    def rank_neurons(self, w: Wildcards) -> str:
        """How utilization is measured, and the prompts; not the memory, on which it doesn't depend
        but for rounding.
        """
        task = plain(self.config.datasets[w.sample].task)
        options = {
            key: value
            for key, value in plain(self.config.analyses.utilization).items()
            if key not in ("memory", "split")
        }
        return spec(
            **self.trust(w),
            task=task,
            **options,
        )

    def rank_neurons_code(self, w: Wildcards) -> str:
        """The script (which can apply any kind of delta) and the task."""
        return code("rank_neurons", module("tasks", self.config.datasets[w.sample].task))

    def compare_ranks_inputs(self, w: Wildcards) -> dict[str, list[Path]]:
        """The utilizations that are compared."""
        return _sides(self.rank_pairs(w.ranks))

    def compare_ranks(self, w: Wildcards) -> str:
        """Names of the pairs and the buckets."""
        pairs = [pair.names() for pair in self.rank_pairs(w.ranks)]
        return spec(pairs=pairs, buckets=list(self.config.analyses.ranks[w.ranks].buckets))

    def count_categories(self, w: Wildcards) -> str:
        """Names of the pairs and what counts as strongly affected."""
        pairs = [pair.names() for pair in self.rank_pairs(w.ranks)]
        return spec(pairs=pairs, **plain(self.config.analyses.ranks[w.ranks].strong))

    def overlap_masks_inputs(self, w: Wildcards) -> dict[str, Any]:
        """The masks that are compared, those beside them, and the base model for its norms."""
        base = ModelPlan(self.config).model(self.config.analyses.overlaps[w.overlap].model)
        pairs = self.mask_pairs(w.overlap)
        references = [path for pair in pairs for _, path in pair.references]
        return base | _sides(pairs) | ({"references": references} if references else {})

    def overlap_masks(self, w: Wildcards) -> str:
        """Names of the pairs and the table's title."""
        overlaps = self.config.analyses.overlaps[w.overlap]
        pairs = [
            pair.names() | {"references": [name for name, _ in pair.references]}
            for pair in self.mask_pairs(w.overlap)
        ]
        return spec(
            title=f"Neurons that masks share: {overlaps.model}, {overlaps.dataset}",
            pairs=pairs,
        )


def _sides(pairs: Sequence[FilePair]) -> dict[str, list[Path]]:
    """The inputs of a rule that compares pairs: the first of each and the second of each, in their
    order.
    """
    return {
        "first": [pair.first for pair in pairs],
        "second": [pair.second for pair in pairs],
    }


def _label(what: str, dataset: str | None, seed: int | None = None) -> str:
    """How one side of a pair is called: its method or mask, and what differs from the analysis."""
    parts = [*([dataset] if dataset else []), *([f"seed {seed}"] if seed else [])]
    return f"{what} ({', '.join(parts)})" if parts else what
