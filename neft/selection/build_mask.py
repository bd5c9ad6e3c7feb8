"""From a mask's settings and the files that its selector reads to the chosen neurons: what
`select_neurons` does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neft import errors, plugins
from neft.core import neurons
from neft.core.mask import NeuronMask
from neft.core.neurons import Site
from neft.errors import NeftError
from neft.models.checkpoint import Checkpoint
from neft.selection import base_vectors, budgets, explained
from neft.selection.budgets import MaskSpec, Part
from neft.selection.similarity import load_scores
from neft.selection.states import States

if TYPE_CHECKING:
    from torch import Tensor

FILES = ("distances", "references", "norms", "gradients", "activations", "states", "masks")
"""What a selector may name in READS, beside "weights"."""
FEW, MASS = 10, 0.01
"""More ties than these, a number and a share of the mask's neurons, of which some are taken and some
are not, are no choice.
"""


class Supply:
    """The files that were given to select from, by what they hold: each is handed out once, so that
    the parts of a union may read several of a sort, from several datasets.
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
        return self._files.pop(what, [])


@dataclass(frozen=True)
class Request:
    """What is asked for: the settings of a mask (the `Spec` of its selector), and of a union that
    is topped up those of its parts.
    """

    mask: Any
    parts: tuple[MaskSpec, ...] = ()


@dataclass(frozen=True)
class Model:
    """The base model that is selected from."""

    record: Mapping[str, Any]
    weights: Checkpoint


@dataclass(frozen=True)
class Selection:
    """A mask, and what there is to say of it, as JSON values."""

    mask: NeuronMask
    report: dict[str, Any]
    """What its selector reports."""
    ranking: dict[str, Any] = field(default_factory=dict)
    """Of a mask by one ranking: what the ranking follows (`explained`) and the `ties` at its cut."""


@dataclass(frozen=True)
class _Ranked:
    """What a selector made of its files."""

    part: Part
    sites: dict[str, Site]
    report: dict[str, Any]


def select(request: Request, model: Model, supply: Supply, seed: int) -> Selection:
    """The mask that is asked for.

    Raises NeftError for more neurons than there are, for files that are not there or not of this
    model, and where the scores do not tell enough neurons apart.
    """
    spec, record = request.mask, model.record
    plugin = plugins.load("selectors", spec.kind)
    base = {"base_hash": record["base_hash"], "hidden_size": record["hidden_size"]}
    settings = {**spec.model_dump(mode="json"), "run_seed": seed}
    if request.parts:
        ranked = [_ranked(part, model, supply, seed) for part in request.parts]
        sites = {key: site for one in ranked for key, site in one.sites.items()}
        budget_of = [one.part.budget for one in ranked]
        settings["of"] = [part.model_dump(mode="json") for part in request.parts]
        chosen = budgets.refill([one.part for one in ranked])
        mask = NeuronMask(chosen, sites, **base, selector=settings, budget=sum(budget_of))
        return Selection(mask, {"parts": budget_of})
    if "masks" in plugin.READS:
        masks = [_load(path, record) for path in supply.rest("masks")]
        inputs = _inputs(plugin.READS - {"masks"}, spec, {}, model, supply) | {"masks": masks}
        mask = plugin.combine(inputs, spec, seed)
        return Selection(mask, {"parts": [one.count for one in masks]})
    one = _ranked(spec, model, supply, seed)
    scores, scope = one.part.scores, one.part.scope
    chosen = budgets.take(scores, one.part.budget, scope)
    ties = budgets.ties(scores, chosen, scope)
    if ties.tied > max(FEW, MASS * one.part.budget):
        raise NeftError(
            f"selector {spec.kind}: {ties.tied:,} neurons have the same score, and only"
            f" {ties.taken:,} of them fit into the mask of {one.part.budget:,}: the scores do not"
            " tell them apart (was the probe too short, or are rows missing?)"
        )
    mask = NeuronMask(chosen, one.sites, **base, selector=settings, budget=one.part.budget)
    norms = base_vectors.norms(model.weights, one.sites)
    ranking = {"explained": explained.shares(scores, norms), "ties": ties._asdict()}
    return Selection(mask, one.report, ranking)


def describe(found: Selection) -> dict[str, Any]:
    """The record of a mask: how it was chosen, its neurons by kind of matrix and by layer, what its
    selector reports and what its ranking follows.
    """
    mask = found.mask
    return {
        "sha256": mask.sha256,
        "base_hash": mask.base_hash,
        "selector": mask.selector,
        "budget": mask.budget,
        "neurons": mask.count,
        "parameters": mask.parameters,
        "by_kind": {kind: count._asdict() for kind, count in mask.counts_by_kind().items()},
        "by_layer": {layer: count._asdict() for layer, count in mask.counts_by_layer().items()},
        "report": dict(found.report),
        **found.ranking,
    }


def _ranked(spec: MaskSpec, model: Model, supply: Supply, seed: int) -> _Ranked:
    """A selector's scores with the number of neurons that are asked for, the sites, and its
    report.
    """
    kind: str = spec.kind  # type: ignore[attr-defined]  # every plug-in's own field
    plugin, record = plugins.load("selectors", kind), model.record
    sites = neurons.choose(
        neurons.sites_of(record), spec.modules, spec.axis, record["architecture"]
    )
    budget = budgets.budget(spec, sites, record["parameters"], record["architecture"])
    ranking = plugin.rank(_inputs(plugin.READS, spec, sites, model, supply), sites, spec, seed)
    return _Ranked(Part(ranking.scores, budget, spec.scope), sites, ranking.report)


def _inputs(
    reads: Collection[str], spec: Any, sites: Mapping[str, Site], model: Model, supply: Supply
) -> dict[str, Any]:
    """What a selector with these settings looks at, from the next files of each sort."""
    found: dict[str, Any] = {"weights": model.weights} if "weights" in reads else {}
    for what in FILES:
        if what not in reads:
            continue
        if what == "states":
            found[what] = States.load(supply.next(what, spec.kind))
        elif what == "activations":  # of its own data set, and of those that it is compared with
            paths = [supply.next(what, spec.kind) for _ in (None, *spec.datasets)]
            found[what] = [_scores(what, path, sites) for path in paths]
        else:
            found[what] = _scores(what, supply.next(what, spec.kind), sites)
    return found


def _scores(what: str, path: str, sites: Mapping[str, Site]) -> dict[str, Tensor]:
    """The numbers of a file, one for each neuron of the sites."""
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
    mask.check_base(record["base_hash"], path)
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
