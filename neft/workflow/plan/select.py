"""The stage `select`: probes, what is compared, and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snakemake.io import ancient

from neft import plugins
from neft.config import mask_uses
from neft.config.mask_uses import Use
from neft.results.layout import Layout
from neft.workflow.params import Stage, Wildcards, code, module, plain, spec


class SelectPlan(Stage):
    """The masks of a configuration and what they are chosen by."""

    def train_probe(self, w: Wildcards) -> str:
        """The probe's settings, the training that it shares with all methods, the prompts, and
        where to stop early.
        """
        probe = {key: value for key, value in plain(self.config.probe).items() if key != "keep"}
        stop = {"stop": int(w.step.removeprefix("-step"))} if w.step else {}
        return spec(
            **self.trust(w),
            seed=int(w.seed),
            task=plain(self.dataset(w).task),
            training=plain(self.config.training),
            probe=probe,
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
        masks = [
            mask
            for name, mask in self.config.masks.items()
            if compared & mask_uses.reads(self.config, name)
        ]
        axes = {mask.axis for mask in masks}
        modules = sorted({name for mask in masks for name in mask.modules})
        return spec(modules=modules, axis=min(axes, default="natural"), **self.trust(w))

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
            batches=mask.batches,
            batch_size=training.micro_batch_size or training.batch_size,
            max_length=training.max_length,
            precision=training.precision,
            seed=int(w.seed),
        )

    def sum_gradients_code(self, w: Wildcards) -> str:
        """The script and the task."""
        return code("sum_gradients", module("tasks", self.dataset(w).task))

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

    def select_neurons_inputs(self, w: Wildcards) -> dict[str, list[Any]]:
        """What a mask's selector reads; the weights are ancient(), the model's record is
        compared.
        """
        files = self.read_by(Use(w.mask, w.dataset), w.model, w.seed)
        return {
            what: [ancient(path) for path in paths] if what == "weights" else paths
            for what, paths in files.items()
        }

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
            for what in sorted(mask_uses.reads(self.config, part.mask)):
                found.setdefault(what, []).extend(self._files(what, part, model, seed))
        return found

    def mask(self, use: Use, model: str, seed: Any) -> Path:
        """Where a mask lies."""
        return self.layout.mask(model, use.dataset, seed, use.mask)

    def _files(self, what: str, use: Use, model: str, seed: Any) -> list[Path]:
        """The files of one sort that one mask's selector reads."""
        place = (model, use.dataset, seed)
        step = mask_uses.step(self.config, use.mask)
        if what == "masks":
            given = getattr(self.config.masks[use.mask], "path", None)
            made = mask_uses.parts(self.config, use)
            return [Path(given)] if given else [self.mask(part, model, seed) for part in made]
        layout: Layout = self.layout
        return [
            {
                "distances": layout.similarity(*place, step),
                "norms": layout.norms(*place, step),
                "gradients": layout.gradient(*place, use.mask),
                "states": layout.states(model, use.dataset),
                "weights": layout.model(model),
            }[what]
        ]
