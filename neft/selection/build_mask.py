"""From a mask's settings and the files that its selector reads to the chosen neurons: what
`select_neurons` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neft import errors, plugins
from neft.core import neurons
from neft.core.mask import NeuronMask
from neft.core.neurons import Site
from neft.errors import NeftError
from neft.models.checkpoint import Checkpoint
from neft.selection import budgets
from neft.selection.budgets import Part
from neft.selection.similarity import load_scores
from neft.selection.states import States

SCORES = ("distances", "norms", "gradients")
FILES = (*SCORES, "states", "weights", "masks")
"""What a selector may name in READS."""


class Supply:
    """Files by what they hold. Each part of a mask takes the next of a kind, so that parts may come
    from several datasets.
    """

    def __init__(self, files: Mapping[str, Sequence[str]]) -> None:
        """`files`: per name of `FILES` paths, in the order of the parts that read them."""
        self._files = {what: list(paths) for what, paths in files.items()}

    def next(self, what: str, kind: str) -> str:
        """The next file of this sort. Raises NeftError if a selector of that kind reads more than
        there are.
        """
        if not self._files.get(what):
            raise NeftError(f"selector {kind}: needs --{what}")
        return self._files[what].pop(0)

    def rest(self, what: str) -> list[str]:
        """All files of this sort that are left."""
        return self._files.get(what, [])


def select(
    spec: Mapping[str, Any], record: Mapping[str, Any], supply: Supply, seed: int
) -> tuple[NeuronMask, dict[str, Any]]:
    """The mask of a spec, and what its selector reports (JSON values).

    spec: a mask's settings; of a union with `refill` its `of` holds the settings of the parts.
    record: the base model's. Raises NeftError for more neurons than there are, and for files that
    are not there or not of this model.
    """
    plugin = plugins.load("selectors", spec["kind"])
    base = {"base_hash": record["base_hash"], "hidden_size": record["hidden_size"]}
    settings = {**spec, "run_seed": seed}
    if spec.get("refill"):
        parts = [_ranked(part, record, supply, seed) for part in spec["of"]]
        indices, sites = (
            budgets.refill([part for part, _, _ in parts]),
            {k: s for _, ss, _ in parts for k, s in ss.items()},
        )
        mask = NeuronMask(
            indices,
            sites,
            **base,
            selector=settings,
            budget=sum(part.budget for part, _, _ in parts),
        )
        return mask, {"parts": [part.budget for part, _, _ in parts]}
    if "masks" in plugin.READS:
        masks = [_load(path, record) for path in supply.rest("masks")]
        return plugin.combine(masks, spec), {"parts": [mask.count for mask in masks]}
    part, sites, report = _ranked(spec, record, supply, seed)
    chosen = budgets.take(part.scores, part.budget, part.scope)
    return NeuronMask(chosen, sites, **base, selector=settings, budget=part.budget), report


def describe(mask: NeuronMask, report: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a mask: how it was chosen, its neurons by kind of matrix and by layer, what its
    selector reports.
    """
    return {
        "sha256": mask.sha256,
        "base_hash": mask.base_hash,
        "selector": mask.selector,
        "budget": mask.budget,
        "neurons": mask.count,
        "parameters": mask.parameters,
        "by_kind": {kind: count._asdict() for kind, count in mask.counts_by_kind().items()},
        "by_layer": {layer: count._asdict() for layer, count in mask.counts_by_layer().items()},
        "report": dict(report),
    }


def _ranked(
    spec: Mapping[str, Any], record: Mapping[str, Any], supply: Supply, seed: int
) -> tuple[Part, dict[str, Site], dict[str, Any]]:
    """A selector's scores with the number of neurons that are asked for, the sites, and its
    report.
    """
    plugin = plugins.load("selectors", spec["kind"])
    modules, axis = spec.get("modules", ["up_proj", "down_proj"]), spec.get("axis", "natural")
    sites = neurons.choose(neurons.sites_of(record), modules, axis, record["architecture"])
    budget = budgets.budget(spec, sites, record["parameters"], record["architecture"])
    inputs = {
        what: _read(what, supply.next(what, spec["kind"]), sites)
        for what in FILES
        if what in plugin.READS
    }
    ranking = plugin.rank(inputs, sites, spec, seed)
    return Part(ranking.scores, budget, spec.get("scope", "global")), sites, ranking.report


def _read(what: str, path: str, sites: Mapping[str, Site]) -> Any:
    if what == "states":
        return States.load(path)
    if what == "weights":
        return Checkpoint(path)
    scores = load_scores(path)
    for key, site in sites.items():
        if key not in scores or len(scores[key]) != site.count:
            kinds = sorted({site.kind for site in sites.values()})
            raise NeftError(
                f"{path}: no {site.count:,} {what} for {key}; the file must be made for the modules"
                f" {kinds}"
            )
    return {key: scores[key] for key in sites}


def _load(path: str, record: Mapping[str, Any]) -> NeuronMask:
    """A mask from a file. Raises NeftError, naming it, unless it belongs to the model with this
    record.
    """
    mask = NeuronMask.load(path)
    if mask.base_hash != record["base_hash"]:
        raise NeftError(
            f"{path}: a mask of another base model: made for {mask.base_hash[:12]}…, this one is"
            f" {record['base_hash'][:12]}…"
        )
    natural = neurons.sites_of(record)
    known = natural | neurons.choose(natural, None, "row", record["architecture"])
    for key, site in mask.sites.items():
        if key not in known:
            raise NeftError(
                f"{path}: {record['architecture']}:"
                f" {errors.unknown_name('module', key, list(known))}"
            )
        if site != known[key]:
            raise NeftError(
                f"{path}: {key} has neurons {site.as_json()}, but in this model"
                f" {known[key].as_json()}"
            )
    return mask
