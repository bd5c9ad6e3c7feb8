"""Greedy generation in batches: left-padded, with a key-value cache, and no work for answers that
are finished.

`in_batches` does any work on many prompts that way, and resumes it after a kill.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from neft import progress
from neft.storage import files

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel


@dataclass(frozen=True)
class Answer:
    """What a model generated for one prompt: its tokens, without the one that ended it, and whether
    there was one.
    """

    tokens: list[int]
    finished: bool


@torch.inference_mode()
def greedy(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], stops: Collection[int], limit: int
) -> list[Answer]:
    """The most probable next token, again and again, until one of `stops` or `limit` tokens (the
    stop token included).

    The prompts (token ids) are padded on the left, masked and given their own positions, so that an
    answer is the same in any batch. What all prompts begin with (system message, instruction) is
    read once. An answer that is finished leaves the batch and the cache: what is left costs only
    itself.
    """
    cache, ids, mask, positions = read_beginning(model, prompts)
    stop_ids = torch.tensor(sorted(stops), device=model.device)
    answers: list[list[int]] = [[] for _ in prompts]
    finished = [False] * len(prompts)
    active = torch.arange(len(prompts))  # which prompt each row of the batch is
    for step in range(limit):
        out = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        chosen = out.logits[:, -1].argmax(-1)  # [rows]
        stopped = torch.isin(chosen, stop_ids)
        for row, token, end in zip(active.tolist(), chosen.tolist(), stopped.tolist(), strict=True):
            finished[row] = end
            if not end:
                answers[row].append(token)
        going = (~stopped).nonzero().flatten()
        if not len(going) or step == limit - 1:
            break
        if len(going) < len(active):
            cache.batch_select_indices(going)
            chosen, mask, positions, active = (
                chosen[going],
                mask[going],
                positions[going],
                active[going.cpu()],
            )
        ids = chosen[:, None]
        positions = positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    return [Answer(tokens, end) for tokens, end in zip(answers, finished, strict=True)]


def read_beginning(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]]
) -> tuple[DynamicCache, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Read what all prompts begin with, once; and the rest of each as tensors, padded on the left.

    Returns a cache that holds the beginning, with a row for each prompt; the tokens that are left
    [batch, width]; the mask [batch, beginning + width] and positions [batch, width] to read them
    with.
    """
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    # A token of each prompt must be left to predict from. Sliding attention counts places, and
    # would count the padding that comes between beginning and rest.
    shared = (
        0
        if any(cache.is_sliding)
        else min(_common(prompts), *(len(prompt) - 1 for prompt in prompts))
    )
    if shared:
        beginning = torch.tensor([prompts[0][:shared]], device=model.device)
        model(input_ids=beginning, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache.batch_repeat_interleave(len(prompts))
    rests = [list(prompt[shared:]) for prompt in prompts]
    width = max(map(len, rests))
    # Which token the padding is does not matter, it is masked.
    ids = torch.tensor([[0] * (width - len(rest)) + rest for rest in rests], device=model.device)
    mask = torch.tensor(
        [[1] * shared + [0] * (width - len(rest)) + [1] * len(rest) for rest in rests],
        device=model.device,
    )
    positions = (mask.cumsum(1) - 1).clamp(min=0)[:, shared:]
    return cache, ids, mask, positions


def _common(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with: those that the first and the last have in common,
    sorted.
    """
    ordered = sorted(map(list, prompts))
    return sum(
        1
        for _ in takewhile(
            lambda pair: pair[0] == pair[1], zip(ordered[0], ordered[-1], strict=False)
        )
    )


def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    stops: Collection[int],
    *,
    limit: int,
    batch_size: int,
    parts: Path,
    identity: dict[str, Any],
) -> tuple[list[Answer], float]:
    """Answer all prompts, in their order; and the seconds that it took, over all sittings. The rest
    is as in `in_batches`.
    """

    def answer(batch: list[int]) -> list[dict[str, Any]]:
        return [
            asdict(one)
            for one in greedy(model, [prompts[number] for number in batch], stops, limit)
        ]

    kept, seconds = in_batches(
        answer, prompts, batch_size=batch_size, parts=parts, identity={**identity, "limit": limit}
    )
    return [Answer(**one) for one in kept], seconds


def in_batches(
    work: Callable[[list[int]], list[Any]],
    prompts: Sequence[Sequence[int]],
    *,
    batch_size: int,
    parts: Path,
    identity: dict[str, Any],
    what: str = "generating",
) -> tuple[list[Any], float]:
    """Calls `work` on one batch after the other, each a list of the prompts' numbers, and returns
    its results, one JSON value a prompt, in the order of the prompts; and the seconds.

    Batches hold prompts of like length, the longest first: what does not fit into memory shows at
    once. Each finished batch is kept in `parts` until `discard`, and a run that was killed takes it
    from there; `identity` (plain JSON values) says what the results depend on, so that those of
    another model or setting are left alone. what: the word beside the progress bar.
    """
    folder = _folder(parts, {**identity, "batch_size": batch_size})
    found: dict[int, Any] = {}
    seconds = 0.0
    with progress.bar(len(prompts), what, "row") as bar:
        for place, batch in enumerate(_batches(prompts, batch_size)):
            file = folder / f"{place:06d}.json"
            if not file.exists():
                began = time.perf_counter()
                results = work(batch)
                files.write_json(
                    file, files.seal({"results": results, "seconds": time.perf_counter() - began})
                )
            kept = files.read_json(file)
            files.check_seal(file, kept)
            found |= dict(zip(batch, kept["results"], strict=True))
            seconds += kept["seconds"]
            bar.update(len(batch))
    return [found[number] for number in range(len(prompts))], seconds


def discard(parts: Path) -> None:
    """Remove the kept batches: call it when the outputs are safe."""
    shutil.rmtree(parts, ignore_errors=True)


def _batches(prompts: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    """Numbers of the prompts in batches of like length, the longest first."""
    order = sorted(range(len(prompts)), key=lambda number: -len(prompts[number]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _folder(parts: Path, identity: dict[str, Any]) -> Path:
    return parts / hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
