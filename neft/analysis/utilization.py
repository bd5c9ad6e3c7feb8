"""How much a model uses each neuron: the highest Pearson correlation of its weight vector with the
model's hidden states.

Xu et al. (COLING 2025), section 6.1: "the hidden state representations from all preceding layers"
(`against: before`); their first version says "the hidden states for each layer" (`all`). Both
vectors have the model's hidden size, and the correlation runs over it. Both are centred and brought
to length one, so that one matrix product gives a block of correlations, of which only each neuron's
highest is kept: a block lives in a few megabytes, whatever the model and the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from neft.core import neurons
from neft.core.delta import Delta, NeuronDelta
from neft.core.neurons import Site
from neft.errors import NeftError
from neft.storage import sealed

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Numbers that are centred at once, and correlations that exist at once: on a CPU few, so that they
# stay in a core's cache.
UNITS = {"cpu": 1 << 17, "cuda": 1 << 25}
PRODUCTS = {"cpu": 1 << 19, "cuda": 1 << 27}


def utilization(
    model: PreTrainedModel,
    texts: Sequence[Sequence[int]],
    sites: Mapping[str, Site],
    against: str = "before",
    pooling: str = "token",
    memory: int = 1024,
) -> dict[str, Tensor]:
    """The highest correlation of every neuron with a hidden state of the texts, per key of `sites`:
    float32 [neurons], -1 … 1.

    texts: token ids. against: "before", the states that the neuron's layer and those before it read
    (the embeddings are the first); "same-layer", what its layer writes; "all", every one (the last
    is normed, as transformers reports it). pooling: "token", every token's state; "mean", their
    mean in each text. memory: MiB for states and correlations, beside the model and the forward
    pass of a few texts. A vector whose numbers are all the same correlates with nothing: 0. Raises
    NeftError if a number is NaN or infinite, if a text's states don't fit, or if a neuron hasn't
    the hidden size.
    """
    layers, width = (
        model.config.get_text_config().num_hidden_layers,
        model.config.get_text_config().hidden_size,
    )
    for key, site in sites.items():
        if site.length != width:
            raise NeftError(
                f"{key}: a neuron has {site.length:,} numbers, a hidden state {width:,}: they can't"
                " be correlated"
            )
    # A quarter for the states as the model gives them, half for unit states, a quarter for neurons
    # and products.
    size = memory * 2**20 // (4 * width * (layers + 1))  # vectors of all layers
    capacity, most = size // 2, size // 4
    longest = max(map(len, texts))
    if longest > most:
        needed = -(-longest * 16 * width * (layers + 1) // 2**20)
        raise NeftError(
            f"memory: {memory} MiB, but the states of a text of {longest:,} tokens need {needed:,}"
        )
    best = {
        key: torch.full((site.count,), -1.0, device=model.device) for key, site in sites.items()
    }
    for states in _states(model, texts, most, capacity, pooling):
        for key, site in sites.items():
            read = _reach(neurons.layer_of(key), layers, against)
            weight = model.get_parameter(f"{site.module}.weight").detach()
            found = highest(_vectors(weight, site), states[read], memory * 2**18)
            best[key] = torch.maximum(best[key], found)
    for key, scores in best.items():
        if not scores.isfinite().all():
            raise NeftError(
                f"{key}: NaN or infinite numbers in the weights or in the states that they are"
                " compared with"
            )
    return {key: scores.cpu() for key, scores in best.items()}


def highest(neurons: Tensor, states: Tensor, memory: int = 1 << 26) -> Tensor:
    """The highest correlation of each neuron with any of the states: float32 [neurons].

    neurons: [neurons, length], any float dtype and layout. states: unit vectors, float32 [layers,
    states, length]. memory: bytes for a block of neurons and its products.
    """
    layers, count, length = states.shape
    rows = max(
        1,
        min(memory // (4 * (count + length)), PRODUCTS[states.device.type] // count, len(neurons)),
    )
    block = torch.empty(rows, length, device=states.device)
    product = torch.empty(rows, count, device=states.device)
    result = torch.empty(len(neurons), device=states.device)
    for start in range(0, len(neurons), rows):
        part = neurons[start : start + rows]
        units, products = block[: len(part)], product[: len(part)]
        unit(part, units)
        best = result[start : start + rows]
        for layer in range(layers):
            torch.mm(units, states[layer].t(), out=products)
            found = products.amax(1)
            best.copy_(found if layer == 0 else torch.maximum(best, found))
    return result.clamp_(-1, 1)  # clamp keeps NaN


def unit(vectors: Tensor, out: Tensor) -> Tensor:
    """Centre vectors [n, length] and bring them to length one, into `out` (float32); zero if all
    their numbers are the same.

    In float64, in which such numbers have exactly their value as mean, and no square of a float32
    number leaves the range.
    """
    rows = max(1, UNITS[vectors.device.type] // vectors.shape[1])
    for start in range(0, len(vectors), rows):
        part = vectors[start : start + rows].double()
        part -= part.mean(1, keepdim=True)
        norm = torch.linalg.vector_norm(part, dim=1, keepdim=True)
        out[start : start + rows] = part / norm.where(norm != 0, 1.0)
    return out


def trained_flags(delta: Delta | None, sites: Mapping[str, Site]) -> dict[str, Tensor]:
    """Which neurons a tuning run trained, in whole or in part: per key bool [neurons]. None is the
    untuned model.

    Whole matrices count with all their neurons, LoRA's with those that its product may change; so
    do the columns of a matrix of which rows were trained.
    """
    flags = {key: torch.zeros(site.count, dtype=torch.bool) for key, site in sites.items()}
    if delta is None:
        return flags
    if not isinstance(delta, NeuronDelta):
        whole = delta.sizes()
        return {key: flag | (f"{sites[key].module}.weight" in whole) for key, flag in flags.items()}
    for name, dim, index, _ in delta.vectors():
        for key, site in sites.items():
            if f"{site.module}.weight" == name:
                own = (
                    index[(index >= site.start) & (index < site.start + site.count)].long()
                    - site.start
                )
                flags[key][own if dim == site.dim else slice(None)] = True
    return flags


def save(
    path: str | Path,
    scores: Mapping[str, Tensor],
    flags: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
) -> None:
    """Write correlations and what was trained; `neft.analysis.neuron_arrays.load_utilization` reads
    them.
    """
    tensors = {f"score:{key}": vector for key, vector in scores.items()}
    tensors |= {f"trained:{key}": flag for key, flag in flags.items()}
    sealed.save(path, "utilization", tensors, {**metadata, "order": list(scores)})


def _reach(layer: int, layers: int, against: str) -> slice:
    """Which of the states a neuron of a layer is compared with; state i is what layer i reads, the
    last what all write.
    """
    return {
        "before": slice(0, layer + 1),
        "same-layer": slice(layer + 1, layer + 2),
        "all": slice(0, layers + 1),
    }[against]


def _vectors(weight: Tensor, site: Site) -> Tensor:
    """A site's neurons as rows [neurons, length], a view of the stored weight."""
    span = slice(site.start, site.start + site.count)
    return weight[span] if site.dim == 0 else weight[:, span].t()


@torch.inference_mode()
def _states(
    model: PreTrainedModel, texts: Sequence[Sequence[int]], most: int, capacity: int, pooling: str
) -> Iterator[Tensor]:
    """Unit states [layers + 1, at most `capacity`, hidden]: gathered, since the more at once, the
    faster the products.
    """
    held, filled = torch.empty(0), 0
    shared = len(commonprefix([list(text) for text in texts]))  # noqa: RUF071  # of tokens, not of paths
    for number, batch in enumerate(_batches(texts, most)):
        lengths = torch.tensor([len(text) for text in batch], device=model.device)
        # Padded on the right: with causal attention no real token sees the padding, whatever it is.
        ids = torch.zeros(len(batch), int(lengths.max()), dtype=torch.long, device=model.device)
        real = torch.arange(ids.shape[1], device=model.device) < lengths[:, None]
        ids[real] = torch.tensor([token for text in batch for token in text], device=model.device)
        found = model(
            input_ids=ids, output_hidden_states=True, use_cache=False, logits_to_keep=1
        ).hidden_states
        # what all texts begin with (a chat's system message) has the same states in all: once is
        # enough
        kept = real.clone()
        kept[0 if number else 1 :, :shared] = False
        more = int(kept.sum()) if pooling == "token" else len(batch)
        if not held.numel():
            held = torch.empty(len(found), capacity, found[0].shape[-1], device=model.device)
        if filled + more > capacity:
            yield held[:, :filled]
            filled = 0
        for layer, states in zip(held, found, strict=True):
            pooled = (
                states[kept]
                if pooling == "token"
                else (states * real[..., None]).sum(1) / lengths[:, None]
            )
            unit(pooled, layer[filled : filled + more])
        filled += more
    yield held[:, :filled]


def _batches(texts: Sequence[Sequence[int]], most: int) -> Iterator[list[Sequence[int]]]:
    """Texts of like length, the longest first: as many as have `most` tokens, padded to the
    longest.
    """
    batch: list[Sequence[int]] = []
    for text in sorted(texts, key=len, reverse=True):
        if batch and (len(batch) + 1) * len(batch[0]) > most:
            yield batch
            batch = []
        batch.append(text)
    yield batch
