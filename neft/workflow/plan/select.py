"""The stage `select`: probes, what is compared, and masks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from neft import plugins
from neft.config import mask_uses
from neft.config.mask_uses import Use
from neft.workflow.params import Stage, Wildcards, code, module, plain, spec
from neft.workflow.plan.model import ModelPlan

PROBES = re.compile("(?:-(noise|shuffled))?(?:-step([0-9]+))?")
"""What paths of probes have behind the seed (`mask_uses.variant`)."""


class SelectPlan(Stage):
    """The masks of a configuration and what they are chosen by."""

    def train_probe(self, w: Wildcards) -> str:
        """The probe's settings, the training that it shares with all methods, the prompts, and
        where to stop early.
        """
        probe = {key: value for key, value in plain(self.config.probe).items() if key != "keep"}
        control, step = PROBES.fullmatch(w.variant).groups()  # type: ignore[union-attr]
        stop = {"stop": int(step)} if step else {}
        return spec(
            **self.trust(w),
            seed=int(w.seed),
            task=plain(self.dataset(w).task),
            training=plain(self.config.training),
            probe=probe,
            control=control,
            **stop,
        )

    def train_probe_code(self, w: Wildcards) -> str:
        """The script, full fine-tuning and the task."""
        return code(
            "train_probe", plugins.module("methods", "full"), module("tasks", self.dataset(w).task)
        )

    def compare_neurons(self, w: Wildcards) -> str:
        """The modules that any mask that looks at the probe may choose from, so that one comparison
        serves all.
        """
        compared = {"distances", "norms"}
        return spec(**self._read_by_any(compared), **self.trust(w))

    def sum_gradients(self, w: Wildcards) -> str:
        """Which neurons and how many batches; of the training what a batch and its loss depend
        on.
        """
        mask, training = self.config.masks[w.mask], self.config.training
        return spec(
            **self.trust(w),
            task=plain(self.dataset(w).task),
            modules=mask.modules,
            axis=mask.axis,
            statistic=plugins.load("selectors", mask.kind).STATISTIC,
            batches=mask.batches,
            batch_size=training.micro_batch_size or training.batch_size,
            max_length=training.max_length,
            precision=training.precision,
            seed=int(w.seed),
        )

    def sum_gradients_code(self, w: Wildcards) -> str:
        """The script and the task."""
        return code("sum_gradients", module("tasks", self.dataset(w).task))

    def read_activations(self, w: Wildcards) -> str:
        """Of all masks that look at activations the modules, and how rows are read; the precision is
        that of generation, since nothing is trained.
        """
        return spec(
            **self.trust(w),
            **self._read_by_any({"activations"}),
            task=plain(self.dataset(w).task),
            max_length=self.config.training.max_length,
            precision=self.config.generation.precision,
        )

    def read_activations_code(self, w: Wildcards) -> str:
        """The script and the task."""
        return code("read_activations", module("tasks", self.dataset(w).task))

    def read_states(self, w: Wildcards) -> str:
        """The prompts, and up to which length; the precision is that of generation, since nothing
        is trained.
        """
        return spec(
            **self.trust(w),
            task=plain(self.dataset(w).task),
            max_length=self.config.training.max_length,
            precision=self.config.generation.precision,
        )

    def read_states_code(self, w: Wildcards) -> str:
        """The script and the task."""
        return code("read_states", module("tasks", self.dataset(w).task))

    def select_neurons_inputs(self, w: Wildcards) -> dict[str, Any]:
        """The base model, and what a mask's selector reads."""
        return ModelPlan(self.config).inputs(w) | self.read_by(
            Use(w.mask, w.dataset), w.model, w.seed
        )

    def select_neurons(self, w: Wildcards) -> str:
        """The mask's settings; of a union that is topped up those of its parts. Of a file its
        content counts, not its path.
        """
        settings = plain(self.config.masks[w.mask])
        parts = mask_uses.refilled_from(self.config, Use(w.mask, w.dataset))
        of = [plain(self.config.masks[part.mask]) for part in parts]
        return spec(
            mask=settings | ({"path": ""} if "path" in settings else {}),
            **({"parts": of} if parts else {}),
        )

    def select_neurons_code(self, w: Wildcards) -> str:
        """The script and the selector, or the parts' selectors."""
        parts = mask_uses.refilled_from(self.config, Use(w.mask, w.dataset))
        selectors = [
            module("selectors", self.config.masks[name])
            for name in (w.mask, *(part.mask for part in parts))
        ]
        return code("select_neurons", *dict.fromkeys(selectors))

    def read_by(self, use: Use, model: str, seed: Any) -> dict[str, list[Path]]:
        """The files that a mask's selector reads, by what they hold; of a union that is topped up
        those of its parts, in order.
        """
        found: dict[str, list[Path]] = {}
        for part in mask_uses.refilled_from(self.config, use) or [use]:
            for what in sorted(mask_uses.reads(self.config, part.mask) - {"weights"}):
                found.setdefault(what, []).extend(self._files(what, part, model, seed))
        return found

    def mask(self, use: Use, model: str, seed: Any) -> Path:
        """Where the mask lies that a run of this seed has."""
        own = mask_uses.seed(self.config, use.mask, seed)
        return self.layout.mask(model, use.dataset, own, use.mask)

    def _files(self, what: str, use: Use, model: str, seed: Any) -> list[Path]:
        """The files of one sort that one mask's selector reads."""
        settings, layout = self.config.masks[use.mask], self.layout
        place = (model, use.dataset, mask_uses.seed(self.config, use.mask, seed))
        probe = mask_uses.variant(self.config, use.mask)
        if what == "masks":
            given = getattr(settings, "path", None)
            made = mask_uses.parts(self.config, use)
            return [Path(given)] if given else [self.mask(part, model, seed) for part in made]
        if what == "activations":
            return [
                layout.activations(model, dataset) for dataset in (use.dataset, *settings.datasets)
            ]
        if what == "references":
            control = mask_uses.variant(self.config, use.mask, settings.against)
            return [layout.similarity(*place, control)]
        return [
            {
                "distances": layout.similarity(*place, probe),
                "norms": layout.norms(*place, probe),
                "gradients": layout.gradient(*place, use.mask),
                "states": layout.states(model, use.dataset),
            }[what]
        ]

    def _read_by_any(self, sorts: set[str]) -> dict[str, Any]:
        """Modules and axis of all masks that read files of any of these sorts."""
        masks = [
            mask
            for name, mask in self.config.masks.items()
            if sorts & mask_uses.reads(self.config, name)
        ]
        modules = sorted({name for mask in masks for name in mask.modules})
        return {"modules": modules, "axis": min((m.axis for m in masks), default="natural")}
