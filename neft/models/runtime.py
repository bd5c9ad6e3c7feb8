"""The machine under a run: device, number format, threads, memory, versions; and reading a model
from its directory.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import resource
import sys
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from neft.storage import folders

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PACKAGES = ("torch", "transformers", "accelerate", "peft", "safetensors", "tokenizers", "numpy")
SHORT = 512
"""Tokens up to which `choose_attention` takes a CPU's plain attention."""


def rank() -> int:
    """The number of this process among those that train one model together
    (`neft.workflow.processes` starts them); else 0.
    """
    return int(os.environ.get("RANK", "0"))


def process_count() -> int:
    """How many processes train one model together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def start(threads: int) -> torch.device:
    """Set up a process that trains or generates: offline, quiet, so many CPU threads (shared with
    the job's other ranks).

    Returns the device to use: of several GPUs each rank has its own.
    """
    os.environ["HF_HUB_OFFLINE"] = (
        "1"  # models and data are local files here; nothing may be fetched on the way
    )
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # Read by torch at its first allocation on a CPU: tensors in large pages, which the kernel
    # clears at a fraction of the cost (a training step took 10 to 20 % less).
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    torch.set_num_threads(max(1, threads // process_count()))
    # transformers and peft report every load and every default; what a user should know we say
    # ourselves.
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers|peft|accelerate")
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(rank())
    # cuDNN's attention plans anew for every length it meets, and here batches and answers have all
    # lengths.
    torch.backends.cuda.enable_cudnn_sdp(False)
    return torch.device("cuda", rank())


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16 matrix products (without them bfloat16 is
    emulated, and slower).
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(
        capabilities.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16")
    )  # the last is ARM's name


def training_precision(setting: str, device: torch.device) -> str:
    """The number format of matrix products in training: `auto` is bfloat16 where the hardware
    multiplies it, else float32.
    """
    if setting != "auto":
        return setting
    return "bfloat16" if multiplies_bfloat16(device) else "float32"


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The context in which a model computes: matrix products in bfloat16 if that is the precision,
    everything else float32.
    """
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, DTYPES[precision])


def store_frozen_weights(model: nn.Module, precision: str) -> None:
    """Keep the frozen weights of linear layers in bfloat16 if that is the precision; changes
    `model`.

    Autocast would cast them from float32 in every step, to the very same values: this saves the
    time and half the memory. A weight that is also the input embedding stays float32, as embeddings
    and norms do, so that every method computes alike.
    """
    if precision == "float32":
        return
    embeddings = {
        id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)
    }
    for module in model.modules():
        weight = module._parameters.get("weight")
        is_matrix = (
            weight is not None and weight.dim() == 2 and not isinstance(module, nn.Embedding)
        )
        if (
            weight is not None
            and is_matrix
            and not weight.requires_grad
            and id(weight) not in embeddings
        ):
            weight.data = weight.data.to(DTYPES[precision])


def choose_attention(model: nn.Module, precision: str, device: torch.device, longest: int) -> None:
    """Use plain matrix products for attention where they are faster than torch's fused kernel;
    changes `model`.

    That is in bfloat16 on a CPU up to some 512 tokens: forward and backward of 1,024 tokens took 5
    ms instead of 11 a layer in rows of 50, 12 instead of 20 in rows of 330, 22 instead of 26 in
    rows of 512, but 43 instead of 35 in one row. longest: tokens of the longest row.
    """
    if precision == "bfloat16" and device.type == "cpu" and longest <= SHORT:
        model.set_attn_implementation("eager")  # type: ignore[operator]


def load_model(
    folder: str | Path,
    precision: str,
    trust_remote_code: bool = False,
    device: torch.device | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Read a causal language model (all weights in `precision`) and its tokenizer from a Hugging
    Face directory. With a `device` the model is put there, ready to answer.

    Raises NeftError, naming the file, if the directory has a record beside it and isn't what that
    says.
    """
    folders.check(Path(folder))
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[precision], **options)
    return (model.to(device).eval() if device else model), tokenizer


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out, Python's, a GPU's, or a CPU's, for which torch has
    no class of its own.
    """
    return isinstance(
        error, MemoryError | torch.OutOfMemoryError
    ) or "can't allocate memory" in str(error)


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory this process has held: allocated by tensors on a GPU, resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def device_name(device: torch.device) -> str:
    """The device in words: the GPU's model, or the CPU's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return str(
        torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine()
    )


def versions() -> dict[str, str]:
    """Python and the packages that decide a result, those that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
