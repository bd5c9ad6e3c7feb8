"""From the `tables` block of a configuration, and its claims, to files, pairs of methods and the
two params of every rule.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import NamedTuple

from neft.config import table_uses
from neft.results.runs import UNTUNED, Run, files_of, pairs_file, paths, spell
from neft.workflow import claims
from neft.workflow.plan import Plan, Wildcards, code, module, plain, spec


class Place(NamedTuple):
    """Where pairs of methods meet: one metric on one test set, of models that were tuned on the
    same rows.
    """

    model: str
    dataset: str
    test: str
    metric: str


class TablePlan:
    """The tables of a planned configuration. Methods that take wildcards are used as params of the
    rule of the same name.
    """

    def __init__(self, plan: Plan) -> None:
        """Plan the tables and the summary of a planned configuration."""
        self.plan, self.config, self.root = plan, plan.config, Path("results", plan.config.name)

    def products(self) -> list[str]:
        """Every table that is asked for, and the summary."""
        tables = [
            f"{name}.{kind}" for name in self.config.tables for kind in ("csv", "md", "tex", "html")
        ]
        return [
            *(str(self.root / "tables" / table) for table in tables),
            str(self.root / "summary.md"),
        ]

    def runs(self, table: str) -> list[Run]:
        """The runs of a table's experiments; of a table of duels those of the duellists alone."""
        found = self.plan.runs_of(table_uses.experiments(self.config, table))
        settings = self.config.tables[table]
        if settings.kind != "duels":
            return found
        return [run for run in found if run.method in (*settings.rows, *settings.columns)]

    def inputs(self, table: str) -> list[str]:
        """What a table is made from."""
        reads, runs = table_uses.reads(self.config, table), self.runs(table)
        files = files_of(self.root, runs, "scores", "metrics") if "runs" in reads else []
        if "pairs" in reads:
            files += files_of(self.root, runs, "comparisons")
            files += [
                path
                for run in runs
                for metric in run.metrics
                for path in self.pairs_files(run, metric)
            ]
        files += [
            str(self.root / "tables" / f"overlap_{name}.csv")
            for name in getattr(self.config.tables[table], "overlaps", ())
        ]
        return list(dict.fromkeys(files))

    def published(self, table: str) -> dict[str, str]:
        """Published values that stand beside a table's, if it has any."""
        path = self.config.tables[table].published
        return {"published": path} if path else {}

    def pairs_files(self, run: Run, metric: str) -> list[str]:
        """The file with the tests between methods of a run's place, if there are any to be made."""
        place = Place(run.model, run.dataset, run.test, metric)
        return [str(pairs_file(self.root, run, metric))] if place in self.pairs else []

    @cached_property
    def claims(self) -> dict[Place, list[claims.ClaimPair]]:
        """Pairs of methods that test a claim, by place; the first metric of an experiment is the
        one that judges.
        """
        found: dict[Place, dict[claims.ClaimPair, None]] = {}
        for experiment in self.config.experiments:
            for test in experiment.test:
                place = Place(experiment.model, experiment.train, test, experiment.metrics[0])
                found.setdefault(place, {}).update(
                    dict.fromkeys(claims.pairs(self.config, experiment))
                )
        return {place: list(pairs) for place, pairs in found.items() if pairs}

    @cached_property
    def pairs(self) -> dict[Place, list[tuple[str, str]]]:
        """Pairs of methods that are compared, by place, beside the comparisons of all with the
        baseline.
        """
        found: dict[Place, dict[tuple[str, str], None]] = {}
        for place, pairs in self.claims.items():
            found.setdefault(place, {}).update({(pair.first, pair.second): None for pair in pairs})
        for name, table in self.config.tables.items():
            for experiment in (
                table_uses.experiments(self.config, name) if table.kind == "duels" else ()
            ):
                duels = [
                    (column, row)
                    for row, column in product(table.rows, table.columns)
                    if {row, column} <= set(experiment.methods)
                ]
                for test, metric in product(experiment.test, experiment.metrics):
                    place = Place(experiment.model, experiment.train, test, metric)
                    found.setdefault(place, {}).update(dict.fromkeys(duels))
        baseline = self.config.report.baseline
        kept = {
            place: [pair for pair in pairs if baseline not in pair]
            for place, pairs in found.items()
        }
        return {place: pairs for place, pairs in kept.items() if pairs}

    def compared(self, w: Wildcards) -> dict[str, list[str]]:
        """The inputs of compare_pairs: outputs, and scores of segments for a metric that reads
        these.
        """
        runs = self._compared(w)
        segments = [path for run in runs if (path := self.plan.segments(run, w.test, w.metric))]
        return {"outputs": [str(paths(self.root, run).outputs) for run in runs]} | (
            {"segments": segments} if segments else {}
        )

    def _compared(self, w: Wildcards) -> list[Run]:
        """The runs whose outputs are compared in pairs, of one place and seed."""
        pairs = self.pairs[Place(w.model, w.dataset, w.test, w.metric)]
        return [
            Run(w.model, w.dataset, method, self.config.methods[method].kind, int(w.seed), w.test)
            for method in dict.fromkeys(method for pair in pairs for method in pair)
        ]

    def compare_pairs(self, w: Wildcards) -> str:
        """Metric and language, as for a score, and the pairs."""
        pairs = self.pairs[Place(w.model, w.dataset, w.test, w.metric)]
        scored = json.loads(self.plan.score_outputs(w))
        return spec(**scored, methods=[run.method for run in self._compared(w)], pairs=pairs)

    def compare_pairs_code(self, w: Wildcards) -> str:
        """The script and the metric."""
        return code("compare_pairs", module("metrics", self.config.metrics[w.metric]))

    def make_paper_table(self, w: Wildcards) -> str:
        """Its settings, but for the path of published values, which are an input; the runs and
        their numbers of trials.
        """
        settings = plain(self.config.tables[w.table])
        del settings["published"]
        if settings["kind"] == "overlaps":
            settings["overlaps"] = [
                {"overlap": name, "model": self.config.analyses.overlaps[name].model}
                for name in settings["overlaps"]
            ]
            return spec(**settings)
        runs = self.runs(w.table)
        if settings["kind"] == "duels":
            return spec(**settings, baseline=self.config.report.baseline, runs=spell(runs))
        return spec(
            **settings,
            runs=spell(replace(run, compare=()) for run in runs),
            trials=self.trials(runs),
        )

    def make_paper_table_code(self, w: Wildcards) -> str:
        """The script and the kind of table."""
        return code("make_paper_table", module("tables", self.config.tables[w.table]))

    def trials(self, runs: Iterable[Run]) -> dict[str, int]:
        """How many trials each tuned method had."""
        return {
            method: len(self.plan.trials(method))
            for method in dict.fromkeys(run.method for run in runs if run.tuned)
        }

    def summary_inputs(self) -> list[str]:
        """What the summary of claims is made from."""
        runs = self._judged()
        files = files_of(self.root, runs, "scores", "metrics", "history", "comparisons")
        files += [
            path for run in runs for metric in run.metrics for path in self.pairs_files(run, metric)
        ]
        files += [
            str(self.root / "tables" / f"overlap_{name}.csv")
            for name in self.config.analyses.overlaps
        ]
        return list(dict.fromkeys(files))

    def summarize_claims(self) -> str:
        """The runs, the pairs that test each claim, and the tables of overlaps."""
        found = []
        for place, pairs in self.claims.items():
            of_claim: dict[str, list[list[str]]] = {}
            for pair in pairs:
                of_claim.setdefault(pair.claim, []).append([pair.first, pair.second])
            found.append({**place._asdict(), "claims": of_claim})
        runs = self._judged()
        options = {
            "baseline": self.config.report.baseline,
            "overlaps": list(self.config.analyses.overlaps),
        }
        return spec(
            name=self.config.name,
            runs=spell(runs),
            pairs=found,
            trials=self.trials(runs),
            **options,
        )

    def _judged(self) -> list[Run]:
        """The runs that take part in a claim, with the metric that judges them."""
        found: dict[Run, None] = {}
        for place, pairs in self.claims.items():
            methods = {method for pair in pairs for method in (pair.first, pair.second)}
            for run in self.plan.runs():
                if (
                    (run.model, run.dataset, run.test) == place[:3]
                    and run.method in methods
                    and run.dataset != UNTUNED
                ):
                    compare = tuple(metric for metric in run.compare if metric == place[3])
                    found[replace(run, metrics=(place[3],), compare=compare)] = None
        return list(found)
