"""The stage `tune`: the trials of every method, and the choice among them."""

from __future__ import annotations

from itertools import product
from typing import Any

from snakemake.io import ancient

from neft.config import mask_uses
from neft.workflow.params import Stage, Wildcards, code, module, plain, spec
from neft.workflow.plan.model import ModelPlan
from neft.workflow.plan.select import SelectPlan

TRIAL = r"lr[0-9][0-9.e-]*(-ep[0-9][0-9.e-]*)?"
"""What the names of trials look like, for Snakemake."""


class TunePlan(Stage):
    """The tunings of a configuration."""

    def trials(self, method: str) -> dict[str, dict[str, Any]]:
        """The settings of a method and of its training for each learning rate (and number of
        epochs) of its grid.

        A trial is named by its values, not its place, so that a longer grid leaves the finished
        trials as they are; epochs are in the name where the method gives them.
        """
        settings = plain(self.config.methods[method])
        training = plain(self.config.training)
        # The mask's name is left out: what is in the mask is an input of its own.
        settings = {
            key: value for key, value in settings.items() if key not in ("mask", "mask_from")
        }
        rates, epochs = _listed(settings["learning_rate"]), _listed(settings.pop("epochs"))
        return {
            f"lr{rate:g}" + (f"-ep{passes:g}" if passes else ""): {
                "method": settings | {"learning_rate": rate},
                "training": training | ({"epochs": passes} if passes else {}),
            }
            for rate, passes in product(rates, epochs)
        }

    def tune_model_inputs(self, w: Wildcards) -> dict[str, Any]:
        """The base model, and the mask where the method trains one."""
        model = ModelPlan(self.config).inputs(w)
        use = mask_uses.of_method(self.config, w.method, w.dataset)
        mask = {"mask": SelectPlan(self.config).mask(use, w.model, w.seed)} if use else {}
        return model | mask

    def tune_model(self, w: Wildcards) -> str:
        """The settings of one trial, the training that all methods share, the prompts."""
        return spec(
            **self.trust(w),
            seed=int(w.seed),
            task=plain(self.dataset(w).task),
            name=w.method,
            **self.trials(w.method)[w.trial],
        )

    def tune_model_code(self, w: Wildcards) -> str:
        """The script, the method and the task."""
        return code(
            "tune_model",
            module("methods", self.config.methods[w.method]),
            module("tasks", self.dataset(w).task),
        )

    def choose_trial_inputs(self, w: Wildcards) -> dict[str, list[Any]]:
        """What every trial left; the deltas are ancient(), their records are compared."""
        folders = [self.layout.trial(w, trial) for trial in self.trials(w.method)]
        return {
            "deltas": [ancient(folder / "delta.safetensors") for folder in folders],
            "records": [folder / "delta.json" for folder in folders],
            "metrics": [folder / "metrics.json" for folder in folders],
            "histories": [folder / "history.jsonl" for folder in folders],
        }

    def choose_trial(self, w: Wildcards) -> str:
        """Names of the trials."""
        return spec(trials=list(self.trials(w.method)))


def _listed(value: Any) -> list[Any]:
    """A setting that may be one value or a list of them, as a list."""
    return value if isinstance(value, list) else [value]
