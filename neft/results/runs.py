"""Finished runs on disk: their files, and which of them stand side by side in a table or figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainValidator

from neft.errors import NeftError
from neft.results.layout import Layout
from neft.storage import files

UNTUNED = "untuned"


@dataclass(frozen=True)
class Run:
    """One model, tuned once (or, with dataset "untuned", not at all), generated and scored on one
    test set.
    """

    model: str
    dataset: str
    method: str
    kind: str
    seed: int
    test: str
    metrics: tuple[str, ...] = ()
    """Names of its scores."""
    generated: bool = True
    """Whether there are outputs: not where every metric reads losses."""

    @property
    def tuned(self) -> bool:
        """Whether there is a tuning run, with its metrics and loss history."""
        return self.dataset != UNTUNED


@dataclass(frozen=True)
class Paths:
    """Files of one run; tuning files are None for the untuned model."""

    metrics: Path | None
    history: Path | None
    trials: Path | None
    delta_record: Path | None
    delta_provenance: Path | None
    outputs: Path | None
    """None where nothing is generated."""
    scores: dict[str, Path]
    provenance: Path


@dataclass(frozen=True)
class Group:
    """What is compared: all methods of one model, tuned on one dataset, on one test set. Each
    method has a run per seed.
    """

    model: str
    dataset: str
    test: str
    methods: dict[str, list[Run]]


def paths(root: str | Path, run: Run) -> Paths:
    """A run's files; docs/design/files.md describes them."""
    layout, chosen = Layout(Path(root)), Layout(Path(root)).trial(run, "chosen")
    return Paths(
        metrics=chosen / "metrics.json" if run.tuned else None,
        history=chosen / "history.jsonl" if run.tuned else None,
        trials=chosen / "trials.json" if run.tuned else None,
        delta_record=chosen / "delta.json" if run.tuned else None,
        delta_provenance=chosen / "provenance.json" if run.tuned else None,
        outputs=layout.outputs(run, run.test) if run.generated else None,
        scores={metric: layout.score(run, run.test, metric) for metric in run.metrics},
        provenance=layout.run_provenance(run, run.test),
    )


def files_of(root: str | Path, runs: Iterable[Run], *kinds: str) -> list[str]:
    """Files of some kinds (fields of `Paths`) of runs, each once, in the order of the runs."""
    found: dict[str, None] = {}
    for run in runs:
        for kind in kinds:
            value = getattr(paths(root, run), kind)
            for path in value.values() if isinstance(value, dict) else [value] if value else []:
                found[str(path)] = None
    return list(found)


def trials(root: str | Path, runs: Sequence[Run]) -> int:
    """How many trials a tuned method had, of its seeds the most. Raises NeftError if a file is
    missing.
    """
    found = [paths(root, run).trials for run in runs]
    return max(len(files.read_json(path)) for path in found if path)


def to_spec(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """Runs for a spec, as `from_spec` reads them: neighbours that differ in their seed alone are one
    entry with a list of seeds.

    A spec is one argument of a command, and Linux allows 128 KiB for one: a large experiment has a
    thousand runs.
    """
    found = []
    for like, several in groupby(runs, key=lambda run: replace(run, seed=0)):
        seeds = [run.seed for run in several]
        found.append(asdict(like) | {"seed": seeds if len(seeds) > 1 else seeds[0]})
    return found


def from_spec(values: Sequence[dict[str, Any]]) -> list[Run]:
    """Read runs from a spec, each once, in the order given. Raises NeftError if there are none."""
    if not values:
        raise NeftError("runs: there is nothing to show; give at least one run")
    found = []
    for value in values:
        names = {"metrics": tuple(value.get("metrics", ()))}
        seeds = value["seed"] if isinstance(value["seed"], list) else [value["seed"]]
        found += [Run(**value | names | {"seed": seed}) for seed in seeds]
    return list(dict.fromkeys(found))


Runs = Annotated[list[Run], PlainValidator(from_spec)]
"""The type of a script's runs in its `Spec`."""


def group(runs: Sequence[Run]) -> list[Group]:
    """Put runs side by side. The untuned model belongs to every training set that is tested on the
    same test set, with the metrics that the tuned ones have there.
    """
    keys = dict.fromkeys((run.model, run.dataset, run.test) for run in runs)
    tuned = [key for key in keys if key[1] != UNTUNED]
    places = {(model, test) for model, _, test in tuned}
    alone = [key for key in keys if key[1] == UNTUNED and (key[0], key[2]) not in places]
    result = []
    for model, dataset, test in [*tuned, *alone]:
        beside = [run for run in runs if (run.model, run.test) == (model, test)]
        scored = {m for run in beside if run.dataset == dataset for m in run.metrics}
        methods: dict[str, list[Run]] = {}
        for run in beside:
            if run.dataset in (dataset, UNTUNED):
                metrics = tuple(metric for metric in run.metrics if metric in scored)
                methods.setdefault(run.method, []).append(replace(run, metrics=metrics))
        result.append(Group(model, dataset, test, methods))
    return result


def score_records(
    root: str | Path, runs: Sequence[Run], metric: str, *keys: str
) -> tuple[list[dict[str, Any]], str]:
    """One metric's records of runs that differ in their seed alone, with these keys; and the
    signature of them all.

    Raises NeftError if a file is missing or incomplete, or if seeds were not scored alike.
    """
    records = [read(paths(root, run).scores[metric], "signature", *keys) for run in runs]
    signatures = sorted({record["signature"] for record in records})
    if len(signatures) > 1:
        raise NeftError(
            f"{metric} of {runs[0].method}: seeds were scored differently"
            f" ({' and '.join(signatures)}); score them again"
        )
    return records, signatures[0]


def read(path: Path, *keys: str) -> dict[str, Any]:
    """Read a JSON record. Raises NeftError, naming the file, if it is damaged or lacks one of the
    keys.
    """
    record = files.read_json(path)
    if not isinstance(record, dict):
        raise NeftError(f"{path}: expected a JSON object, got {type(record).__name__}")
    missing = [key for key in keys if key not in record]
    if missing:
        raise NeftError(
            f"{path}: the key {missing[0]!r} is missing; run the rule that makes this file again"
        )
    if "sha256" in record:
        files.check_seal(path, record)
    return record
