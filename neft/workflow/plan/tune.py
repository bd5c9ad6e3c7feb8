"""The stage `tune`: the trials of every method, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

from snakemake.io import ancient

from neft.config import mask_uses
from neft.config.model import Config
from neft.training.search import Trial
from neft.workflow.params import Stage, Wildcards, code, module, plain, spec
from neft.workflow.plan.model import ModelPlan
from neft.workflow.plan.select import SelectPlan

TRIAL = r"lr[0-9][0-9.e-]*(-ep[0-9][0-9.e-]*)?"
"""What the names of trials look like, for Snakemake."""
Weighed = Callable[[Wildcards, int], str | None]
"""The trial that a round of the search adds to those of the run with these wildcards."""


class TunePlan(Stage):
    """The tunings of a configuration."""

    def __init__(self, config: Config, weighed: Weighed | None = None) -> None:
        """weighed: which trial a round of the search adds to a method's; without it there are those
        of the grid alone.
        """
        super().__init__(config)
        self.weighed = weighed

    def grid(self, method: str) -> list[Trial]:
        """The trials that a method's settings name: every learning rate with every number of
        epochs.
        """
        settings = self.config.methods[method]
        rates, epochs = _listed(settings.learning_rate), _listed(settings.epochs)
        return [Trial(rate, passes) for rate, passes in product(rates, epochs)]

    def trial(self, method: str, name: str) -> dict[str, Any]:
        """The settings of a method and of its training in one trial, of its grid or beyond."""
        trial = next((one for one in self.grid(method) if one.name == name), Trial.of(name))
        # The mask's name is left out: what is in the mask is an input of its own.
        settings = {
            key: value
            for key, value in plain(self.config.methods[method]).items()
            if key not in ("mask", "mask_from", "epochs")
        }
        training = plain(self.config.training)
        return {
            "method": settings | {"learning_rate": trial.rate},
            "training": training | ({"epochs": trial.epochs} if trial.epochs else {}),
        }

    def rounds(self, method: str) -> int:
        """How often a method's grid may be extended."""
        rates = {trial.rate for trial in self.grid(method)}
        return self.config.search.extensions if len(rates) > 1 else 0

    def tried(self, w: Wildcards, rounds: int) -> list[str]:
        """Names of a method's trials: the grid's, and those that the first rounds add. Of rounds
        that are yet to come Snakemake is told to wait for them.
        """
        names = [trial.name for trial in self.grid(w.method)]
        for number in range(rounds if self.weighed else 0):
            assert self.weighed is not None
            further = self.weighed(w, number)
            if further is None:
                break
            names.append(further)
        return names

    def weigh_trials_inputs(self, w: Wildcards) -> list[Path]:
        """What every trial so far reached."""
        return [
            self.layout.trial(w, trial) / "metrics.json" for trial in self.tried(w, int(w.round))
        ]

    def weigh_trials(self, w: Wildcards) -> str:
        """Names of the trials so far."""
        return spec(trials=self.tried(w, int(w.round)))

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
            **self.trial(w.method, w.trial),
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
        folders = list(map(Path, self.folders(w)))
        return {
            "deltas": [ancient(folder / "delta.safetensors") for folder in folders],
            "records": [folder / "delta.json" for folder in folders],
            "metrics": [folder / "metrics.json" for folder in folders],
            "histories": [folder / "history.jsonl" for folder in folders],
        }

    def folders(self, w: Wildcards) -> list[str]:
        """Where the trials of a method lie."""
        trials = self.tried(w, self.rounds(w.method))
        return [str(self.layout.trial(w, trial)) for trial in trials]

    def choose_trial(self, w: Wildcards) -> str:
        """Names of the trials."""
        return spec(trials=self.tried(w, self.rounds(w.method)))


def _listed(value: Any) -> list[Any]:
    """A setting that may be one value or a list of them, as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]
