"""How likely a model holds each of a few given answers for: whole batches at once, every prompt
read a single time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from neft.generation.decoding import read_beginning

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Tokens = Sequence[int]


@torch.inference_mode()
def log_likelihoods(
    model: PreTrainedModel, prompts: Sequence[Tokens], answers: Sequence[Sequence[Tokens]]
) -> list[list[float]]:
    """ln P(answer | prompt) of each answer to each prompt: the sum over the answer's tokens, in
    float32.

    answers: for every prompt equally many token lists, at least one token each; an answer should
    end with its end token, or one that begins like another would always win. The prompts are read
    once, padded on the left; their cache, repeated for each answer, then serves all answers, padded
    on the right.
    """
    cache, ids, mask, positions = read_beginning(model, prompts)
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    flat = [list(answer) for choices in answers for answer in choices]
    times, width = len(answers[0]), max(map(len, flat))
    # [rows, width]: rows are all answers to the first prompt, then all to the second …
    tokens = torch.tensor(
        [answer + [0] * (width - len(answer)) for answer in flat], device=model.device
    )
    real = torch.tensor(
        [[True] * len(answer) + [False] * (width - len(answer)) for answer in flat],
        device=model.device,
    )
    logits = out.logits[:, -1:].repeat_interleave(
        times, 0
    )  # of each answer's first token: [rows, 1, vocabulary]
    if width > 1:
        cache.batch_repeat_interleave(times)
        mask = torch.cat([mask.repeat_interleave(times, 0), real[:, :-1].to(mask.dtype)], dim=1)
        steps = torch.arange(1, width, device=model.device)
        rest = model(
            input_ids=tokens[:, :-1],
            attention_mask=mask,
            position_ids=positions[:, -1:].repeat_interleave(times, 0) + steps,
            past_key_values=cache,
            use_cache=True,
        )
        logits = torch.cat([logits, rest.logits], dim=1)
    found = logits.float().log_softmax(-1).gather(2, tokens[:, :, None])[:, :, 0]
    sums = found.where(real, 0.0).sum(1)
    return [sums[start : start + times].tolist() for start in range(0, len(flat), times)]
