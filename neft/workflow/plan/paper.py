"""The stage `paper`: the `tables` block of a configuration and its claims, as runs and pairs of
methods.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

from neft import plugins
from neft.config import table_uses
from neft.results.runs import UNTUNED, Run, files_of, to_spec
from neft.workflow import claims
from neft.workflow.params import Stage, Wildcards, code, module, plain, spec
from neft.workflow.plan.score import Place, ScorePlan


class PaperPlan(Stage):
    """The publication's tables of a planned configuration, and the summary of its claims."""

    def __init__(self, scores: ScorePlan) -> None:
        """scores: of the runs that are shown, and their comparisons."""
        super().__init__(scores.config)
        self.planned, self.scores = scores.runs, scores

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
        files = (
            files_of(self.layout.root, runs, "scores", "metrics", "trials")
            if "runs" in reads
            else []
        )
        if "comparisons" in reads:
            files += self.scores.comparisons(runs)
        files += [
            str(self.layout.table(f"overlap_{name}", "csv"))
            for name in getattr(self.config.tables[table], "overlaps", ())
        ]
        return list(dict.fromkeys(files))

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

    def make_paper_table(self, w: Wildcards) -> str:
        """Its settings, but for the path of published values, which are an input; and the runs."""
        settings = plain(self.config.tables[w.table])
        del settings["published"]
        planned: dict[str, Any]
        if settings["kind"] == "overlaps":
            overlaps = self.config.analyses.overlaps
            planned = {"models": {name: overlaps[name].model for name in settings["overlaps"]}}
        else:
            planned = {"runs": to_spec(self.runs(w.table))}
        return spec(table=settings, planned=planned)

    def make_paper_table_code(self, w: Wildcards) -> str:
        """The script and the kind of table."""
        return code("make_paper_table", module("tables", self.config.tables[w.table]))

    def summarize_claims_inputs(self, w: Wildcards) -> list[str]:
        """What the summary of claims is made from."""
        runs = self._judged()
        files = files_of(self.layout.root, runs, "metrics", "history", "trials")
        files += self.scores.comparisons(runs)
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
            margin = self._margin(place.metric)
            found.append({**place._asdict(), "margin": margin, "claims": of_claim})
        runs = self._judged()
        return spec(
            name=self.config.name,
            places=found,
            **({"runs": to_spec(runs)} if runs else {}),
            overlaps=list(self.config.analyses.overlaps),
        )

    def _margin(self, metric: str) -> float:
        """From which difference in a metric on methods are not equivalent."""
        settings = self.config.metrics[metric]
        default: float = plugins.load("metrics", settings.kind).margin(settings)
        return self.config.report.margin.get(metric, default)

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
                    found[replace(run, metrics=(place.metric,))] = None
        return list(found)
