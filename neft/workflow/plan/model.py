"""The stage `model`: base models as folders."""

from __future__ import annotations

from typing import Any

from snakemake.io import ancient

from neft.results.layout import record_of
from neft.workflow.params import Stage, Wildcards, code, module, plain, spec
from neft.workflow.plan.data import DataPlan


class ModelPlan(Stage):
    """The base models of a configuration."""

    def prepare_model_inputs(self, w: Wildcards) -> dict[str, list[Any]]:
        """The files of the model's source."""
        return DataPlan(self.config).source_inputs("models", w.model)

    def prepare_model(self, w: Wildcards) -> str:
        """Everything about the model."""
        return spec(**plain(self.config.models[w.model]))

    def prepare_model_code(self, w: Wildcards) -> str:
        """The script and the source."""
        return code("prepare_model", module("sources", self.config.models[w.model].source))

    def inputs(self, w: Wildcards) -> dict[str, Any]:
        """The base model as an input of other stages."""
        return self.model(w.model)

    def model(self, name: str) -> dict[str, Any]:
        """A base model with its record. It is large, so ancient(); its record is compared."""
        model = self.layout.model(name)
        return {"model": ancient(model), "model_record": record_of(model)}
