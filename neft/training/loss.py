"""Loss of the answer tokens, at the cost of the answer tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from neft.data.encode import IGNORED


def completion_loss(model: nn.Module, input_ids: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the cross-entropy over the labelled tokens, and their number: float32 and int64,
    scalars.

    model: any Hugging Face causal language model, also wrapped by PEFT or DDP. input_ids, labels:
    int64 [batch, positions], padded on the right; label -100 is not trained on. Divide the sum by
    the number of a whole batch of the optimizer.
    """
    logits, wanted, predicts = _of_answers(model, input_ids, labels)
    return functional.cross_entropy(logits, wanted, reduction="sum"), predicts.sum()


def row_losses(
    model: nn.Module, input_ids: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """As `completion_loss`, of every row [batch]: the sum of the cross-entropy (float32), the
    number of labelled tokens, and of how many of these the likeliest token is the labelled one
    (int64 both).
    """
    logits, wanted, predicts = _of_answers(model, input_ids, labels)
    rows = predicts.nonzero()[:, 0]  # of each labelled token
    counts = predicts.sum(1)
    losses = functional.cross_entropy(logits, wanted, reduction="none")
    right = (logits.argmax(-1) == wanted).long()
    return (
        losses.new_zeros(len(labels)).index_add_(0, rows, losses),
        counts,
        torch.zeros_like(counts).index_add_(0, rows, right),
    )


def _of_answers(
    model: nn.Module, input_ids: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (float32 [labelled, vocabulary]) and labels [labelled] of the labelled tokens, and at
    which positions they are predicted (bool [batch, positions]).

    The vocabulary is by far the widest layer, and most tokens are prompt or padding: only the
    hidden states that predict a label reach the head. Its input is narrowed in a hook, so whatever
    a model does to its logits (scaling, soft-capping) still happens. The same loss as the model's
    own, which computes them all.
    """
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    targets = labels[:, 1:]
    predicts = functional.pad(targets != IGNORED, (0, 1))  # the last position predicts nothing

    def narrow(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (args[0][predicts], *args[1:])  # [labelled, hidden]

    handle = inner.get_output_embeddings().register_forward_pre_hook(narrow)  # type: ignore[operator]
    try:
        logits = model(input_ids=input_ids, use_cache=False).logits
    finally:
        handle.remove()
    return logits.float(), targets[targets != IGNORED], predicts
