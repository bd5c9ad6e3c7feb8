"""The stage `neuron_figures`: which figures of neurons and masks a configuration asks for, and what
each is drawn from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neft.config import mask_uses
from neft.config.mask_uses import Use
from neft.workflow.params import Stage, Wildcards, spec
from neft.workflow.plan.select import SelectPlan

READS = {"neurons": None, "similarity": "distances", "classifiers": "states"}
"""Figures of the masks that methods train on one dataset, and what a mask's selector must read to
be in them.
"""


class NeuronFigurePlan(Stage):
    """The figures of a configuration's masks; all show the first seed."""

    def names(self) -> list[str]:
        """All figures of masks."""
        trainings = dict.fromkeys((e.model, e.train) for e in self.config.experiments)
        return [
            f"{figure}_{model}_{train}"
            for model, train in trainings
            for figure, reading in READS.items()
            if mask_uses.shown(self.config, model, train, reading)
        ]

    def plot_neurons_inputs(self, w: Wildcards) -> dict[str, Any]:
        """The masks."""
        return {"masks": self._masks(w, "neurons")}

    def plot_neurons(self, w: Wildcards) -> str:
        """Names of the masks."""
        return self._named(w, "neurons")

    def plot_similarity_inputs(self, w: Wildcards) -> dict[str, Any]:
        """The masks, and the distances that they cut."""
        distances = self.layout.similarity(w.model, w.dataset, self.config.seeds[0])
        return {"distances": distances, "masks": self._masks(w, "similarity")}

    def plot_similarity(self, w: Wildcards) -> str:
        """Names of the masks."""
        return self._named(w, "similarity")

    def plot_classifiers_inputs(self, w: Wildcards) -> dict[str, Any]:
        """The masks' records."""
        uses = mask_uses.shown(self.config, w.model, w.dataset, READS["classifiers"]).values()
        return {"records": [self._mask(use, w.model).with_suffix(".json") for use in uses]}

    def plot_classifiers(self, w: Wildcards) -> str:
        """Names of the masks."""
        return self._named(w, "classifiers")

    def _masks(self, w: Wildcards, figure: str) -> list[Path]:
        uses = mask_uses.shown(self.config, w.model, w.dataset, READS[figure]).values()
        return [self._mask(use, w.model) for use in uses]

    def _mask(self, use: Use, model: str) -> Path:
        return SelectPlan(self.config).mask(use, model, self.config.seeds[0])

    def _named(self, w: Wildcards, figure: str) -> str:
        return spec(masks=list(mask_uses.shown(self.config, w.model, w.dataset, READS[figure])))
