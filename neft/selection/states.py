"""Mean hidden states of a model's layers over prompts, and the classes that the prompts belong to.
One safetensors file.

Tensors   per split and layer `<split>.<layer>` float32 [rows, hidden]; per split `<split>.classes` int32 [rows]
Metadata  choices (names of the classes), layers, and whatever its maker adds
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neft import progress
from neft.errors import NeftError
from neft.storage import sealed

TOKENS_AT_ONCE = 4096
"""Tokens of a batch, padding included: all layers' hidden states of a batch are in memory together.
"""


@dataclass(frozen=True, eq=False)
class States:
    """Per split ("train", "dev") the rows' classes, int32 [rows], and per layer their means,
    float32 [rows, hidden].
    """

    choices: list[str]
    classes: dict[str, Tensor]
    means: dict[str, list[Tensor]]

    def save(self, path: str | Path, metadata: dict[str, Any]) -> None:
        """Write them, atomically, with some more metadata."""
        tensors = {f"{split}.classes": classes for split, classes in self.classes.items()}
        tensors |= {
            f"{split}.{layer}": mean
            for split, means in self.means.items()
            for layer, mean in enumerate(means)
        }
        sealed.save(
            path,
            "states",
            tensors,
            {**metadata, "choices": self.choices, "layers": len(self.means["train"])},
        )

    @classmethod
    def load(cls, path: str | Path) -> States:
        """Read what `save` wrote. Raises NeftError, naming the file, if it is damaged or holds
        none.
        """
        tensors, metadata = sealed.load(path, "states")
        try:
            means = {
                split: [tensors[f"{split}.{layer}"] for layer in range(metadata["layers"])]
                for split in ("train", "dev")
            }
            return cls(
                metadata["choices"], {split: tensors[f"{split}.classes"] for split in means}, means
            )
        except (KeyError, TypeError) as error:
            raise NeftError(f"{path}: not usable states: {error} is missing or wrong") from error


@torch.inference_mode()
def means(model: Any, prompts: Sequence[Sequence[int]]) -> list[Tensor]:
    """Per layer the hidden states after it, averaged over each prompt's tokens: float32 [prompts,
    hidden], in their order.

    model: a Hugging Face causal language model, on its device. prompts: token ids. As transformers
    gives them out: those of the last layer have gone through the final norm.
    """
    order = sorted(range(len(prompts)), key=lambda number: -len(prompts[number]))
    result: list[Tensor] = []
    with progress.bar(len(prompts), "reading hidden states", "row") as bar:
        while order:
            width = len(prompts[order[0]])
            numbers, order = (
                order[: max(1, TOKENS_AT_ONCE // width)],
                order[max(1, TOKENS_AT_ONCE // width) :],
            )
            # Padded on the right, which causal attention keeps out of sight; which token the
            # padding is does not matter.
            ids = torch.tensor(
                [[*prompts[n], *[0] * (width - len(prompts[n]))] for n in numbers],
                device=model.device,
            )
            lengths = torch.tensor([len(prompts[n]) for n in numbers], device=model.device)[:, None]
            weights = (
                torch.arange(width, device=model.device) < lengths
            ) / lengths  # [rows, width]
            # The first are the embeddings.
            hidden = model.base_model(
                input_ids=ids, output_hidden_states=True, use_cache=False
            ).hidden_states[1:]
            result = result or [torch.empty(len(prompts), states.shape[-1]) for states in hidden]
            for mean, states in zip(result, hidden, strict=True):
                mean[numbers] = torch.einsum("rth,rt->rh", states.float(), weights).cpu()
            bar.update(len(numbers))
    return result
