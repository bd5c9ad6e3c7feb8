"""The stage `neuron_figures`: which figures of neurons and masks a configuration asks for, and what
each is drawn from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neft.config import mask_uses
from neft.workflow.params import Stage, Wildcards, spec

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
        seed = self.config.seeds[0]
        return {
            "records": [
                self.layout.mask_record(w.model, use.dataset, seed, use.mask) for use in uses
            ]
        }

    def plot_classifiers(self, w: Wildcards) -> str:
        """Names of the masks."""
        return self._named(w, "classifiers")

    def _masks(self, w: Wildcards, figure: str) -> list[Path]:
        uses = mask_uses.shown(self.config, w.model, w.dataset, READS[figure]).values()
        seed = self.config.seeds[0]
        return [self.layout.mask(w.model, use.dataset, seed, use.mask) for use in uses]

    def _named(self, w: Wildcards, figure: str) -> str:
        return spec(masks=list(mask_uses.shown(self.config, w.model, w.dataset, READS[figure])))
