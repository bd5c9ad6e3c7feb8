"""Where everything lies below `results/<name>/`: the one place in Python that spells these paths.

The rules spell their own, since Snakemake matches them as patterns; docs/design/files.md says what
each file holds. A file is named by what users named, each in a folder of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class RunPlace(Protocol):
    """What names the folder of a run: a `neft.results.runs.Run`, or the wildcards of a rule."""

    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def dataset(self) -> str: ...  # noqa: D102
    @property
    def method(self) -> str: ...  # noqa: D102
    @property
    def seed(self) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class Layout:
    """The files of one experiment's results."""

    root: Path
    """`results/<name>`."""

    @classmethod
    def of(cls, name: str) -> Layout:
        """That of the experiment of this name, seen from the working folder."""
        return cls(Path("results", name))

    def wheel(self, package: str, version: str, suffix: str) -> Path:
        """A wheel or sdist from the package index; its record is `record_of` this."""
        return self.root / "fetch" / f"{package}-{version}.{suffix}"

    def hub(self, kind: str, key: str) -> Path:
        """A repository of the hub. kind: "models", "datasets", "metrics" or "encoders"."""
        return self.root / "fetch" / kind / key

    def split(self, dataset: str, split: str) -> Path:
        """The rows of a split: "train", "dev" or "test"."""
        return self.root / "data" / dataset / f"{split}.jsonl"

    def near(self, dataset: str, test: str) -> Path:
        """How many rows of a test set have a near duplicate in a data set's train split."""
        return self.root / "data" / dataset / f"near_{test}.json"

    def model(self, model: str) -> Path:
        """A base model's folder; its record is `record_of` this."""
        return self.root / "model" / model

    def similarity(self, model: str, dataset: str, seed: Any, variant: str = "") -> Path:
        """How far every neuron turned. variant: of the probe, such as "-step8" or "-noise"."""
        return self.root / "similarity" / model / dataset / f"seed{seed}{variant}.safetensors"

    def norms(self, model: str, dataset: str, seed: Any, variant: str = "") -> Path:
        """How far every neuron moved."""
        return self.root / "similarity" / model / dataset / f"seed{seed}{variant}.norms.safetensors"

    def gradient(self, model: str, dataset: str, seed: Any, mask: str) -> Path:
        """Sums of gradients for one mask."""
        return self.root / "gradient" / model / dataset / f"seed{seed}" / f"{mask}.safetensors"

    def activations(self, model: str, dataset: str) -> Path:
        """How strongly the base model's neurons answer to a data set."""
        return self.root / "activation" / model / f"{dataset}.safetensors"

    def states(self, model: str, dataset: str) -> Path:
        """Mean hidden states of the base model."""
        return self.root / "states" / model / f"{dataset}.safetensors"

    def mask(self, model: str, dataset: str, seed: Any, mask: str) -> Path:
        """A mask."""
        return self._mask(model, dataset, seed, f"{mask}.safetensors")

    def mask_record(self, model: str, dataset: str, seed: Any, mask: str) -> Path:
        """A mask in numbers."""
        return self._mask(model, dataset, seed, f"{mask}.json")

    def trial(self, run: RunPlace, trial: str) -> Path:
        """The folder of one trial of a tuning; that which was kept is "chosen"."""
        return self._run("tune", run) / trial

    def outputs(self, run: RunPlace, test: str) -> Path:
        """What a run answers to a test set."""
        return self._run("generate", run) / f"{test}.jsonl"

    def losses(self, run: RunPlace, test: str) -> Path:
        """How unlikely a run's model holds the right answers to a test set for."""
        return self._run("losses", run) / f"{test}.jsonl"

    def segments(self, run: RunPlace, test: str, metric: str) -> Path:
        """The scores of single outputs by a COMET model."""
        return self._run("comet", run) / test / f"{metric}.json"

    def score(self, run: RunPlace, test: str, metric: str) -> Path:
        """A run's score."""
        return self._run("score", run) / test / f"{metric}.json"

    def run_provenance(self, run: RunPlace, test: str) -> Path:
        """What made a run's outputs and scores on a test set."""
        return self._run("score", run) / f"{test}.provenance.json"

    def comparisons(self, model: str, dataset: str, test: str, metric: str) -> Path:
        """How methods that were tuned on one data set differ in a metric."""
        return self.root / "compare" / model / dataset / test / f"{metric}.json"

    def utilization(self, run: RunPlace, sample: str) -> Path:
        """The utilization of a model's neurons, measured on a sample of a data set."""
        return self._run("rank", run) / f"{sample}.safetensors"

    def table(self, name: str, suffix: str) -> Path:
        """A table: "csv", "md", "tex", "html", or "json" beside it."""
        return self.root / "tables" / f"{name}.{suffix}"

    def figure(self, name: str, suffix: str) -> Path:
        """A figure: "png" or "pdf"."""
        return self.root / "figures" / f"{name}.{suffix}"

    def page(self, name: str) -> Path:
        """What lies beside the folders: "config.html", "summary.md", "provenance.json"."""
        return self.root / name

    def samples(self) -> Path:
        """The page of sample outputs."""
        return self.root / "samples" / "samples.html"

    def _run(self, stage: str, run: RunPlace) -> Path:
        return self.root / stage / run.model / run.dataset / run.method / f"seed{run.seed}"

    def _mask(self, model: str, dataset: str, seed: Any, file: str) -> Path:
        return self.root / "mask" / model / dataset / f"seed{seed}" / file


def record_of(path: Path) -> Path:
    """The record that lies beside what was fetched or prepared."""
    return path.with_name(f"{path.name}.json")
