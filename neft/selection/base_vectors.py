"""The neurons of a stored model as vectors, how long they are, and which are of like length: what
selectors know of a model without any data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from neft.core.neurons import Site
from neft.models.checkpoint import Checkpoint

DECILES = 10


def vectors(weights: Checkpoint, sites: Mapping[str, Site]) -> Iterator[tuple[str, Tensor]]:
    """Per site its neurons as rows, float32 [neurons, length]; one matrix in memory at a time."""
    for key, site in sites.items():
        name = f"{site.module}.weight"
        # Some files, GPT-2's for one, were saved from the model without its head, and their names
        # lack its prefix.
        stored = weights.tensors[name if name in weights.tensors else name.partition(".")[2]]
        part = stored.read().narrow(site.dim, site.start, site.count).float()
        yield key, part.t() if site.dim else part


def norms(weights: Checkpoint, sites: Mapping[str, Site]) -> dict[str, Tensor]:
    """The L2 norm of every neuron, by key: float32 [neurons]."""
    return {key: torch.linalg.vector_norm(part, dim=1) for key, part in vectors(weights, sites)}


def deciles(norms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tenth of its module in which every neuron is by norm, by key: int64 [neurons], 0 the
    shortest … 9 the longest. Of equal norms the earlier neuron is the shorter one.
    """
    result = {}
    for key, lengths in norms.items():
        places = torch.empty(len(lengths), dtype=torch.int64)
        places[lengths.argsort(stable=True)] = torch.arange(len(lengths))
        result[key] = places * DECILES // max(1, len(lengths))
    return result
