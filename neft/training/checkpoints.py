"""Training that a kill cannot change: checkpoints of the trainable state only, and exact resumption
from them.

    <folder>/step-00000120/     a checkpoint; it has this name only once it is whole
        trained.safetensors     the trained tensors by name, float32
        optimizer.safetensors   the optimizer's tensors: <parameter's number>.<exp_avg, exp_avg_sq, step>
        random.safetensors      states of torch's random number generators: <cpu, cuda>, of a further rank <cpu, cuda>.<rank>
        state.json              fingerprint, optimizer settings, schedule, progress (losses so far, best, seconds, tokens),
                                hashes of the three files above
        trainer_state.json      transformers' own bookkeeping: the step

Nothing is pickled. Kept are the latest checkpoint and the best. Of several ranks the first writes,
and what it writes is whole: a run may be resumed by another number of ranks.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import Trainer

from neft.errors import NeftError
from neft.storage import files
from neft.training.sharding import like, whole


@dataclass
class Progress:
    """What a run has found out so far; a checkpoint carries it on."""

    history: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `history.jsonl`."""
    seconds: float = 0.0
    """Time in training steps, without evaluation and checkpoints."""
    tokens: int = 0
    """Tokens trained on: prompts and answers, without padding."""
    dev_loss: float | None = None
    """Loss of the state that is the result so far: the best, or the last."""
    dev_step: int = 0
    """The step of that state."""
    worse: int = 0
    """Evaluations in a row without a new best."""


def trained(model: nn.Module) -> dict[str, Tensor]:
    """The trainable tensors by name, as they are now; of a sharded model this rank's shards."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def restore(model: nn.Module, folder: Path) -> None:
    """Put the trained tensors of a checkpoint back into `model`."""
    device = next(model.parameters()).device
    tensors = load_file(folder / "trained.safetensors", device=str(device))
    # Through load_state_dict, not by assignment: attached layers listen to it and bring their dense
    # weight up to date.
    model.load_state_dict(
        {name: like(tensor, model.get_parameter(name)) for name, tensor in tensors.items()},
        strict=False,
    )


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"step-{step:08d}"


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`, if there is one."""
    return max(folder.glob("step-*"), default=None)


def check(checkpoint: Path, fingerprint: dict[str, Any]) -> None:
    """Refuse a checkpoint that is damaged or of another run.

    Raises NeftError that names the damaged file, or what differs with both values.
    """
    state = files.read_json(checkpoint / "state.json")
    files.check_seal(checkpoint / "state.json", state)
    found = state["fingerprint"]
    differences = [
        f"{key}: {found.get(key)} there, {fingerprint.get(key)} here"
        for key in sorted(found.keys() | fingerprint.keys())
        if found.get(key) != fingerprint.get(key)
    ]
    if differences:
        raise NeftError(
            f"{checkpoint}: a checkpoint of another run, not resumed ({'; '.join(differences)})"
        )
    for name, digest in state["files"].items():
        file = checkpoint / name
        if files.sha256(file) != digest:
            raise NeftError(
                f"{file}: damaged: not the bytes that were written; delete {checkpoint} and start"
                " again"
            )


class ResumableTrainer(Trainer):
    """transformers' Trainer with the checkpoints of this module in place of its own.

    `fingerprint` (plain JSON values: base, mask, data, seed, settings) says which run this is; its
    checkpoints are in `folder`.
    """

    # The Trainer allows for what is not there yet; here it always is.
    model: Any
    optimizer: Any
    lr_scheduler: Any
    train_dataset: Any
    eval_dataset: Any

    def __init__(self, *, folder: Path, fingerprint: dict[str, Any], **options: Any) -> None:
        """`options` go to the Trainer."""
        super().__init__(**options)
        self.folder = folder
        self.fingerprint = fingerprint
        self.progress = Progress()

    def resume(self) -> None:
        """Train to the end, from the latest checkpoint if there is one. Raises NeftError if it is
        of another run.
        """
        if self.args.should_save:
            for unfinished in self.folder.glob(".step-*"):
                shutil.rmtree(unfinished)
        checkpoint = latest(self.folder)
        if checkpoint is not None:
            check(checkpoint, self.fingerprint)
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        """Write a checkpoint under a temporary name, rename it, and remove those that are no longer
        needed.
        """
        # At the end the result itself is written next; what a kill in between costs is the way from
        # the last checkpoint.
        if self.control.should_training_stop:
            return
        optimizer, groups = _optimizer_state(self.optimizer)
        tensors = {
            "trained": whole(trained(self.model)),
            "optimizer": whole(optimizer),
            "random": self._random_states(),
        }
        if self.args.should_save:
            self._write(tensors, groups)
        self.accelerator.wait_for_everyone()

    def _write(self, tensors: dict[str, dict[str, Tensor]], groups: list[dict[str, Any]]) -> None:
        target = path_of(self.folder, self.state.global_step)
        unfinished = target.with_name(f".{target.name}")
        with files.writing(target):
            unfinished.mkdir(parents=True)
            digests = {}
            for name, content in tensors.items():
                file = unfinished / f"{name}.safetensors"
                save_file(content, file)
                digests[file.name] = files.sha256(file)
            state = {
                "fingerprint": self.fingerprint,
                "groups": groups,
                "schedule": self.lr_scheduler.state_dict(),
            }
            state |= {"progress": asdict(self.progress), "files": digests}
            files.write_json(unfinished / "state.json", files.seal(state))
            self.state.save_to_json(str(unfinished / "trainer_state.json"))
            unfinished.rename(target)
        needed = {target, path_of(self.folder, self.progress.dev_step)}
        for other in set(self.folder.glob("step-*")) - needed:
            shutil.rmtree(other)

    def _random_states(self) -> dict[str, Tensor]:
        """States of the generators that a model may draw from (dropout), of all ranks."""
        states = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            states["cuda"] = torch.cuda.get_rng_state()
        found: dict[str, Tensor] = {}
        for name, state in states.items():
            of_all = (
                self.accelerator.gather(state.to(self.args.device))
                .cpu()
                .view(self.args.world_size, -1)
            )
            found |= {_of_rank(name, rank): part.clone() for rank, part in enumerate(of_all)}
        return found

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        """Weights and progress: the first thing that `train` restores."""
        restore(self.model, Path(resume_from_checkpoint))
        self.progress = Progress(
            **files.read_json(Path(resume_from_checkpoint, "state.json"))["progress"]
        )

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        tensors = load_file(Path(checkpoint, "optimizer.safetensors"))
        state = files.read_json(Path(checkpoint, "state.json"))
        parameters = [
            parameter for group in self.optimizer.param_groups for parameter in group["params"]
        ]
        by_parameter: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            number, key = name.split(".", 1)
            by_parameter.setdefault(int(number), {})[key] = like(tensor, parameters[int(number)])
        self.optimizer.load_state_dict({"state": by_parameter, "param_groups": state["groups"]})
        self.lr_scheduler.load_state_dict(state["schedule"])

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        states = load_file(Path(checkpoint, "random.safetensors"))
        names = {name: _of_rank(name, self.args.process_index) for name in ("cpu", "cuda")}
        if names["cpu"] in states:  # a rank that the killed run did not have goes on with its own
            torch.set_rng_state(states[names["cpu"]])
        if names["cuda"] in states and torch.cuda.is_available():
            torch.cuda.set_rng_state(states[names["cuda"]])


def _of_rank(name: str, rank: int) -> str:
    return f"{name}.{rank}" if rank else name


def _optimizer_state(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """The optimizer's tensors by "<parameter's number>.<key>", and its groups' settings as plain
    values.
    """
    state = optimizer.state_dict()
    tensors = {
        f"{number}.{key}": value
        for number, values in state["state"].items()
        for key, value in values.items()
    }
    return tensors, state["param_groups"]
