"""The stage `paper`: the `tables` block of a configuration and its claims, as runs and pairs of
methods.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

from neft.config import table_uses
from neft.results.runs import UNTUNED, Run, files_of, to_spec
from neft.workflow import comparisons
from neft.workflow.claims import ClaimPair
from neft.workflow.comparisons import Place
from neft.workflow.params import Stage, Wildcards, code, module, plain, spec
from neft.workflow.plan.runs import RunPlan
from neft.workflow.plan.score import ScorePlan
from neft.workflow.plan.tune import TunePlan


class PaperPlan(Stage):
    """The publication's tables of a planned configuration, and the summary of its claims."""

    def __init__(self, runs: RunPlan) -> None:
        """runs: those that are compared."""
        super().__init__(runs.config)
        self.planned, self.scores = runs, ScorePlan(runs)

    def products(self) -> list[str]:
        """Every table that is asked for, and the summary."""
        tables = [
            self.layout.table(name, suffix)
            for name in self.config.tables
            for suffix in ("csv", "md", "tex", "html")
        ]
        return list(map(str, [*tables, self.layout.page("summary.md")]))

    def runs(self, table: str) -> list[Run]:
        """The runs of a table's experiments; of a table of duels those of the duellists alone."""
        found = self.planned.of(table_uses.experiments(self.config, table))
        settings = self.config.tables[table]
        if settings.kind != "duels":
            return found
        return [run for run in found if run.method in (*settings.rows, *settings.columns)]

    def make_paper_table_inputs(self, w: Wildcards) -> dict[str, Any]:
        """What a table is made from, and published values that stand beside, if it has any."""
        published = self.config.tables[w.table].published
        return {"made_from": self.made_from(w.table)} | (
            {"published": published} if published else {}
        )

    def made_from(self, table: str) -> list[str]:
        """The files of ours that a table is made from."""
        reads, runs = table_uses.reads(self.config, table), self.runs(table)
        files = files_of(self.layout.root, runs, "scores", "metrics") if "runs" in reads else []
        if "pairs" in reads:
            files += files_of(self.layout.root, runs, "comparisons")
            files += [
                path
                for run in runs
                for metric in run.metrics
                for path in self.pairs_files(run, metric)
            ]
        files += [
            str(self.layout.table(f"overlap_{name}", "csv"))
            for name in getattr(self.config.tables[table], "overlaps", ())
        ]
        return list(dict.fromkeys(files))

    def pairs_files(self, run: Run, metric: str) -> list[str]:
        """The file with the tests between methods of a run's place, if there are any to be made."""
        place = Place(run.model, run.dataset, run.test, metric)
        if place not in self.pairs:
            return []
        return [str(self.layout.pairs(run.model, run.dataset, run.seed, run.test, metric))]

    @cached_property
    def claims(self) -> dict[Place, list[ClaimPair]]:
        """Pairs of methods that test a claim, by place."""
        return comparisons.tested(self.config)

    @cached_property
    def pairs(self) -> dict[Place, list[tuple[str, str]]]:
        """Pairs of methods that are compared, by place, beside the comparisons of all with the
        baseline.
        """
        baseline = self.config.report.baseline
        kept = {
            place: [pair for pair in pairs if baseline not in pair]
            for place, pairs in self.scores.pairs.items()
        }
        return {place: pairs for place, pairs in kept.items() if pairs}

    def compare_pairs_inputs(self, w: Wildcards) -> dict[str, list[Any]]:
        """Outputs, and scores of segments for a metric that reads these."""
        runs = self._compared(w)
        paths = [self.scores.segments(run, w.test, w.metric) for run in runs]
        segments = [path for path in paths if path]
        outputs = {"outputs": [self.layout.outputs(run, w.test) for run in runs]}
        return outputs | ({"segments": segments} if segments else {})

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
        scored = json.loads(self.scores.score_outputs(w))
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
        planned: dict[str, Any]
        if settings["kind"] == "overlaps":
            overlaps = self.config.analyses.overlaps
            planned = {"models": {name: overlaps[name].model for name in settings["overlaps"]}}
        elif settings["kind"] == "duels":
            planned = {
                "runs": to_spec(self.runs(w.table)),
                "baseline": self.config.report.baseline,
            }
        else:
            runs = [replace(run, compare=()) for run in self.runs(w.table)]
            planned = {"runs": to_spec(runs), "trials": self.trials(runs)}
        return spec(table=settings, planned=planned)

    def make_paper_table_code(self, w: Wildcards) -> str:
        """The script and the kind of table."""
        return code("make_paper_table", module("tables", self.config.tables[w.table]))

    def trials(self, runs: Iterable[Run]) -> dict[str, int]:
        """How many trials each tuned method had."""
        tuning = TunePlan(self.config)
        return {
            method: len(tuning.trials(method))
            for method in dict.fromkeys(run.method for run in runs if run.tuned)
        }

    def summarize_claims_inputs(self, w: Wildcards) -> list[str]:
        """What the summary of claims is made from."""
        runs = self._judged()
        files = files_of(self.layout.root, runs, "scores", "metrics", "history", "comparisons")
        files += [
            path for run in runs for metric in run.metrics for path in self.pairs_files(run, metric)
        ]
        files += [
            str(self.layout.table(f"overlap_{name}", "csv"))
            for name in self.config.analyses.overlaps
        ]
        return list(dict.fromkeys(files))

    def summarize_claims(self, w: Wildcards) -> str:
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
            places=found,
            **({"runs": to_spec(runs)} if runs else {}),
            trials=self.trials(runs),
            **options,
        )

    def _judged(self) -> list[Run]:
        """The runs that take part in a claim, with the metric that judges them."""
        found: dict[Run, None] = {}
        for place, pairs in self.claims.items():
            methods = {method for pair in pairs for method in (pair.first, pair.second)}
            for run in self.planned.all():
                if (
                    (run.model, run.dataset, run.test) == place[:3]
                    and run.method in methods
                    and run.dataset != UNTUNED
                ):
                    compare = tuple(metric for metric in run.compare if metric == place[3])
                    found[replace(run, metrics=(place[3],), compare=compare)] = None
        return list(found)
