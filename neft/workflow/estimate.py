"""What a configuration would cost on a GPU, without running anything: `make plan
CONFIG=configs/paper.yaml`.

Reads   config.yaml and the file given by --configfile, laid over it as Snakemake does
Prints  Markdown: what each table needs (trainings, operations, hours on one card, bytes kept), what each method needs (trained
        parameters, memory, bytes), and on which assumptions

A table's row is what making it alone takes; what tables share is counted once in the total.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from neft.config import loader, mask_uses, overlay, table_uses
from neft.config.analyses import MaskSide
from neft.config.model import Config, Experiment
from neft.errors import NeftError
from neft.results.layout import Layout
from neft.results.runs import UNTUNED
from neft.storage import files
from neft.workflow.costs import (
    CARDS,
    ModelSize,
    checkpoint_bytes,
    delta_bytes,
    generation_seconds,
    ranking_operations,
    shape_of,
    training_operations,
)
from neft.workflow.params import plain
from neft.workflow.plan.tune import TunePlan
from neft.workflow.resources import tuning_bytes

TOKENS = {
    "translation": 120,
    "nli": 100,
    "summarization": 100,
    "instruction": 250,
    "chat": 500,
    "ifeval": 100,
    "mmlu": 700,
}
"""Tokens of a row, prompt and answer, by kind of task; a summary's row has its longest document
besides.
"""
ANSWER = 0.5
"""Share of `generation.max_new_tokens` that the answers of a batch take on average, of IFEval's own
limit of 1,280 as well.
"""


@dataclass(frozen=True)
class Job:
    """One job that computes. `what`: the trial, the test set, the sample, or the variant of a
    probe.
    """

    kind: Literal["probe", "tune", "generate", "rank"]
    model: str
    dataset: str
    method: str
    seed: int
    what: str


@dataclass(frozen=True)
class Cost:
    """Of one job, or a sum over jobs: tokens trained on, operations of training, seconds on the
    card, bytes that stay.
    """

    probe: int = 0
    tune: int = 0
    generate: int = 0
    rank: int = 0
    tokens: float = 0.0
    operations: float = 0.0
    seconds: float = 0.0
    stored: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(
            *(getattr(self, field.name) + getattr(other, field.name) for field in fields(self))
        )


class Estimate:
    """The jobs of a configuration, and what each costs."""

    def __init__(self, config: Config, card: str, utilisation: float) -> None:
        """`card`: one of CARDS; `utilisation`: the share of its peak operations that training
        reaches.

        Raises NeftError if the size of a model is not known.
        """
        self.config, self.tuning = config, TunePlan(config)
        self.card, self.utilisation = CARDS[card], utilisation
        self.shapes = {}
        for name in dict.fromkeys(experiment.model for experiment in config.experiments):
            fetched = Layout.of(config.name).hub("models", name)
            self.shapes[name] = shape_of(
                f"models.{name}", plain(config.models[name].source), fetched
            )

    def size(self, model: str) -> ModelSize:
        """Of a model."""
        return self.shapes[model].size

    def trained(self, model: str, method: str) -> int:
        """Parameters that a method trains in a model."""
        settings = self.config.methods[method]
        if settings.kind == "embed":
            return self.shapes[model].embedding
        return self.size(model).trained(settings, self.config.masks)

    def of_experiments(self, experiments: Iterable[Experiment]) -> set[Job]:
        """The jobs that the scores of some experiments need, each once."""
        jobs: set[Job] = set()
        for experiment in experiments:
            for method in experiment.methods:
                base = self.config.methods[method].kind == "base"
                for seed in (0,) if base else self.config.seeds:
                    train = UNTUNED if base else experiment.train
                    jobs |= {
                        Job("generate", experiment.model, train, method, seed, test)
                        for test in experiment.test
                    }
                    jobs |= set() if base else self._tuning(experiment.model, train, method, seed)
        return jobs

    def of_table(self, table: str) -> set[Job]:
        """The jobs that a table needs."""
        overlaps = [
            self.config.analyses.overlaps[name]
            for name in getattr(self.config.tables[table], "overlaps", ())
        ]
        return self.of_experiments(table_uses.experiments(self.config, table)) | {
            job
            for overlap in overlaps
            for pair in overlap.pairs
            for side in (pair.a, pair.b, *(MaskSide(mask=mask) for mask in pair.references))
            for seed in ([side.seed] if side.seed else self.config.seeds)
            for job in self._probes(
                mask_uses.Use(side.mask, side.dataset or overlap.dataset), overlap.model, seed
            )
        }

    def of_ranks(self) -> set[Job]:
        """The jobs that the analyses of utilization need."""
        jobs: set[Job] = set()
        for ranks in self.config.analyses.ranks.values():
            sample = ranks.sample or ranks.dataset
            for side in {side for pair in ranks.pairs for side in (pair.a, pair.b)}:
                base = self.config.methods[side.method].kind == "base"
                for seed in (0,) if base else self.config.seeds:
                    train = UNTUNED if base else side.dataset or ranks.dataset
                    jobs.add(Job("rank", ranks.model, train, side.method, seed, sample))
                    jobs |= set() if base else self._tuning(ranks.model, train, side.method, seed)
        return jobs

    def of_everything(self) -> set[Job]:
        """All jobs that compute."""
        return (
            self.of_experiments(self.config.experiments)
            | self.of_ranks()
            | set().union(*map(self.of_table, self.config.tables))
        )

    def _tuning(self, model: str, train: str, method: str, seed: int) -> set[Job]:
        jobs = {
            Job("tune", model, train, method, seed, trial.name)
            for trial in self.tuning.grid(method)
        }
        use = mask_uses.of_method(self.config, method, train)
        return jobs | (self._probes(use, model, seed) if use else set())

    def _probes(self, use: mask_uses.Use, model: str, seed: int) -> set[Job]:
        """The probes that a mask looks at; neither gradients nor hidden states, which cost as much
        as a few steps.
        """
        return {
            Job(
                "probe",
                model,
                part.dataset,
                "probe",
                mask_uses.seed(self.config, part.mask, seed),
                mask_uses.variant(self.config, part.mask, control),
            )
            for part in mask_uses.closure(self.config, use)
            if {"distances", "norms"} & mask_uses.reads(self.config, part.mask)
            for control in {None, getattr(self.config.masks[part.mask], "against", None)}
        }

    def cost(self, job: Job) -> Cost:
        """What a job costs."""
        size, train = self.size(job.model), self.config.training
        per_second = self.card.operations * self.utilisation
        if job.kind in ("probe", "tune"):
            kind, trained, rows = self._rows(job)
            tokens = rows * self._tokens(job.dataset)
            operations = training_operations(
                size, kind, trained, tokens, train.gradient_checkpointing
            )
            number = {"bfloat16": 2, "float32": 4}[self.config.models[job.model].dtype]
            stored = (
                delta_bytes(kind, trained, size.hidden, number) if job.kind == "tune" else 0
            )  # a probe goes at once
            counted = {"probe": 1} if job.kind == "probe" else {"tune": 1}
            return Cost(
                tokens=tokens,
                operations=operations,
                seconds=operations / per_second,
                stored=stored,
                **counted,
            )
        if job.kind == "rank":
            read = self.config.analyses.utilization
            rows = getattr(self.config.datasets[job.what].splits, read.split)
            tokens = min(read.rows or rows, rows) * self._tokens(job.what)
            reading, correlating = ranking_operations(size, read.modules, read.against, tokens)
            # Correlations are products in float32, at a tenth of the speed or less.
            return Cost(rank=1, seconds=(reading + 10 * correlating) / per_second)
        return Cost(generate=1, seconds=self._answering(size, job.what))

    def _rows(self, job: Job) -> tuple[str, int, float]:
        """Kind of training, trained parameters, and rows that are trained on."""
        if job.kind == "probe":
            early = job.what.partition("-step")[2]
            steps = int(early) if early else self.config.probe.steps
            return "full", self.size(job.model).parameters, steps * self.config.training.batch_size
        epochs = self.tuning.trial(job.method, job.what)["training"]["epochs"]
        rows = epochs * self.config.datasets[job.dataset].splits.train
        return self.config.methods[job.method].kind, self.trained(job.model, job.method), rows

    def _tokens(self, dataset: str) -> float:
        task = self.config.datasets[dataset].task
        return TOKENS[task.kind] + getattr(task, "max_document_tokens", 0)

    def _answering(self, size: ModelSize, test: str) -> float:
        task, rows, batch = (
            self.config.datasets[test].task,
            self.config.datasets[test].splits.test,
            self.config.generation.batch_size,
        )
        written = {"mmlu": 0, "nli": 0, "ifeval": 1280}.get(
            task.kind, self.config.generation.max_new_tokens
        )
        return generation_seconds(
            size, self.card, self.utilisation, rows, batch, self._tokens(test), ANSWER * written
        )


def sums(estimate: Estimate) -> list[tuple[str, Cost]]:
    """A row for each table, for the rest, and for everything."""
    rows = [(name, estimate.of_table(name)) for name in estimate.config.tables]
    tabled = set().union(*(jobs for _, jobs in rows))
    everything = estimate.of_everything()
    if rest := everything - tabled:
        rows.append(("in no table", rest))
    return [
        (name, sum(map(estimate.cost, jobs), Cost()))
        for name, jobs in [*rows, ("everything", everything)]
    ]


def report(estimate: Estimate, card: str) -> str:
    """All as Markdown."""
    lines = [
        (
            "| table | trainings | probes | generations | rankings | tokens | operations | GPU"
            " hours | kept |"
        ),
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, cost in sums(estimate):
        lines.append(
            f"| {name} | {cost.tune:,} | {cost.probe:,} | {cost.generate:,} | {cost.rank:,} |"
            f" {cost.tokens / 1e6:,.1f} M | {cost.operations:.1e} | {cost.seconds / 3600:,.1f} |"
            f" {cost.stored / 1e9:,.1f} GB |"
        )
    lines += [
        "",
        "| model | method | trained | % | memory of the card | delta | checkpoint |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    lines += _methods(estimate)
    lines += ["", _assumptions(estimate, card)]
    return "\n".join(lines)


def _assumptions(estimate: Estimate, card: str) -> str:
    training, found = estimate.config.training, estimate.card
    rows = training.micro_batch_size or training.batch_size
    tokens = ", ".join(f"{kind} {number}" for kind, number in TOKENS.items())
    return (
        f"One {card}: {found.operations / 1e12:,.0f} TFLOP/s, of which"
        f" {100 * estimate.utilisation:.0f} % are reached, {found.bandwidth / 1e12:.2f} TB/s,"
        f" {found.memory / 1e9:.0f} GB (bold: more than that); everything in bfloat16. {rows} rows"
        f" at once in training. Tokens a row: {tokens} (and the longest document). Kept are the"
        " deltas of all trials. Not counted: loading, checkpoints and dev losses (minutes a"
        " training), COMET, the base models themselves."
    )


def _methods(estimate: Estimate) -> list[str]:
    config, training = estimate.config, estimate.config.training
    lines = []
    for model, method in dict.fromkeys(
        (e.model, method) for e in config.experiments for method in e.methods
    ):
        kind, size = config.methods[method].kind, estimate.size(model)
        if kind == "base":
            continue
        trained = estimate.trained(model, method)
        datasets = [e.train for e in config.experiments if e.model == model and method in e.methods]
        longest = max(min(training.max_length, estimate._tokens(name)) for name in datasets)
        tokens = math.ceil((training.micro_batch_size or training.batch_size) * longest)
        memory = tuning_bytes(
            size,
            kind,
            trained,
            tokens,
            bfloat16=True,
            checkpointing=training.gradient_checkpointing,
        )
        mark = "**" if memory > estimate.card.memory else ""
        lines.append(
            f"| {model} | {method} | {trained:,} | {100 * trained / size.parameters:.2f} |"
            f" {mark}{memory / 1e9:,.0f} GB{mark} |"
            f" {delta_bytes(kind, trained, size.hidden) / 1e9:,.2f} GB |"
            f" {checkpoint_bytes(trained) / 1e9:,.1f} GB |"
        )
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    """Print the estimate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--configfile", required=True, help="laid over config.yaml")
    parser.add_argument("--card", choices=CARDS, default="A100")
    parser.add_argument(
        "--utilisation",
        type=float,
        default=0.4,
        help="share of the card's peak operations in training",
    )
    parser.add_argument(
        "--into",
        type=Path,
        help="write it between the plan marks of this file instead of printing it",
    )
    args = parser.parse_args(argv)
    try:
        layers = overlay.read(["config.yaml", args.configfile])
        config = loader.load(layers.values, layers)
        text = report(Estimate(config, args.card, args.utilisation), args.card)
    except NeftError as error:
        sys.exit(f"error: {error}")
    if args.into:
        before, _, after = re.split(
            r"(?s)(?<=<!-- plan -->\n)(.*?)(?=<!-- /plan -->)",
            args.into.read_text(encoding="utf-8"),
        )
        files.write_text(args.into, f"{before}{text}\n{after}")
    else:
        print(text)


if __name__ == "__main__":
    main()
