"""Which rows train together: batches of like length, each rank's share of them, and parts that fit
into memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler

from neft.data import encode
from neft.data.encode import IGNORED, Example
from neft.errors import NeftError

POOL = 50
"""Batches that are sorted by length together: enough that little is padding, few enough that
batches stay mixed.
"""


class LengthGrouped(Sampler[int]):
    """Every example once an epoch, in batches of like length and in random order; the same for the
    same seed and epoch.

    It draws from a generator of its own, so that nothing a method draws (LoRA's start, dropout)
    changes the order of the data.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        """`lengths`: tokens of each example; `batch_size`: examples for one step of the
        optimizer.
        """
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch (the data loader calls it)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(seed_of(self.seed, self.epoch))
        shuffled = torch.randperm(len(self.lengths), generator=generator).tolist()
        size = self.batch_size
        whole = len(shuffled) // size
        pool = max(1, min(POOL, whole // 4)) * size
        batches = []
        for start in range(0, whole * size, pool):
            rows = sorted(
                shuffled[start : min(start + pool, whole * size)], key=self.lengths.__getitem__
            )
            batches += [rows[i : i + size] for i in range(0, len(rows), size)]
        for number in torch.randperm(len(batches), generator=generator).tolist():
            yield from batches[number]
        yield from shuffled[whole * size :]  # the batch that is not full comes last


class Shares:
    """One rank's rows of every micro-batch: of N ranks every N-th, so that all get rows of like
    length.

    All ranks get equally many shares; of the last micro-batch of an epoch one may be empty.
    """

    def __init__(self, sampler: LengthGrouped, size: int, rank: int, ranks: int) -> None:
        """`size`: rows of a micro-batch, those of all ranks together."""
        self.sampler = sampler  # by this name the data loader finds it and sets its epoch
        self.size = size
        self.rank = rank
        self.ranks = ranks

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.size)

    def __iter__(self) -> Iterator[list[int]]:
        rows = list(self.sampler)
        for start in range(0, len(rows), self.size):
            yield rows[start : start + self.size][self.rank :: self.ranks]


def micro_batch(batch_size: int, micro_batch_size: int | None, ranks: int) -> int:
    """Rows that a rank has in memory at once: its share of the batch, or the share's largest
    divisor that is small enough.

    Raises NeftError if the ranks can't share the batch evenly.
    """
    if batch_size % ranks:
        raise NeftError(
            f"training.batch_size: {batch_size} rows can't be shared evenly by {ranks} ranks (the"
            " job's `gpu`)"
        )
    share = batch_size // ranks
    return max(
        rows for rows in range(1, min(micro_batch_size or share, share) + 1) if share % rows == 0
    )


def collate(rows: Sequence[Example]) -> dict[str, Tensor]:
    """As `encode.pad`; of no rows at all a batch without a token to learn, since all ranks must
    go through the model.
    """
    if rows:
        return encode.pad(rows)
    nothing = encode.pad([{"input_ids": [0], "labels": [IGNORED]}])
    return nothing | {"lengths": torch.zeros_like(nothing["lengths"])}


def parts(batch: dict[str, Tensor], tokens: int) -> list[dict[str, Tensor]]:
    """The rows of a batch in parts of at most so many tokens, padding included, or of one row; each
    padded for itself alone.
    """
    rows = max(1, tokens // batch["input_ids"].shape[1])
    found = []
    for start in range(0, len(batch["lengths"]), rows):
        part = {name: tensor[start : start + rows] for name, tensor in batch.items()}
        width = max(1, int(part["lengths"].max()))
        found.append(part | {name: part[name][:, :width] for name in ("input_ids", "labels")})
    return found


def seed_of(*numbers: int) -> int:
    """A seed from several numbers."""
    # Hashed, because the generator knows 32 bits of its seed: of a sum or shift of the two, others
    # would be the same.
    digest = hashlib.sha256(" ".join(map(str, numbers)).encode()).digest()
    return int.from_bytes(digest[:4], "big")
