"""Loss of the answer tokens, at the cost of the answer tokens."""

from __future__ import annotations

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
        logits = model(input_ids=input_ids, use_cache=False).logits  # [labelled, vocabulary]
    finally:
        handle.remove()
    wanted = targets[targets != IGNORED]
    return functional.cross_entropy(logits.float(), wanted, reduction="sum"), predicts.sum()
