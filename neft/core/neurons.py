"""Where a model's neurons are: which matrices hold them, along which axis, how many.

A neuron is a weight vector of the model's hidden size: a row of `up_proj` (`gate`, `q`, `k`, `v`),
a column of `down_proj` (`o`), rows and columns being those of PyTorch's `[out, in]` layout. Only
under this reading do the paper's numbers come out: Llama-2-7B has 2 x 32 x 11,008 such vectors of
length 4,096, and 25,000 of them are its 1.5 % (102.4M parameters).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from neft import errors
from neft.errors import NeftError

if TYPE_CHECKING:
    from torch import nn

Axis = Literal["row", "column"]
Kind = Literal["up_proj", "down_proj", "gate_proj", "q_proj", "k_proj", "v_proj", "o_proj"]
KINDS: tuple[Kind, ...] = get_args(Kind)

AXES: dict[Kind, Axis] = {
    "up_proj": "row",
    "gate_proj": "row",
    "down_proj": "column",
    "q_proj": "row",
    "k_proj": "row",
    "v_proj": "row",
    "o_proj": "column",
}

# The end of a module's name -> the kinds that its rows hold, in this order; several where a model
# fuses them.
MODULES: dict[str, tuple[Kind, ...]] = {
    **{kind: (kind,) for kind in KINDS},
    "gate_up_proj": ("gate_proj", "up_proj"),  # Phi-3, Phi-4
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "mlp.fc1": ("up_proj",),  # Phi-1, Phi-2
    "mlp.fc2": ("down_proj",),
    "self_attn.dense": ("o_proj",),
    "mlp.c_fc": ("up_proj",),  # GPT-2
    "mlp.c_proj": ("down_proj",),
    "attn.c_attn": ("q_proj", "k_proj", "v_proj"),
    "attn.c_proj": ("o_proj",),
}


@dataclass(frozen=True)
class Site:
    """A set of neurons: the rows `start … start + count` or the columns of one module's weight.

    `length` is the numbers in one neuron, `dim` the dimension of the stored weight along which
    neurons are counted (GPT-2 stores its weights transposed).
    """

    module: str
    kind: Kind
    axis: Axis
    start: int
    count: int
    length: int
    dim: int

    def as_json(self) -> dict[str, Any]:
        """Plain values, for a record or a file's metadata; `Site(**…)` reads them back."""
        return asdict(self)


def find(
    model: nn.Module, modules: Sequence[str] | None = None, axis: str = "natural"
) -> dict[str, Site]:
    """The neurons of the given kinds (default: of all that there are), in the order of the model's
    modules.

    A key is the module's name, such as `model.layers.0.mlp.up_proj`; where one module holds several
    kinds, `:kind` is added (`model.layers.0.mlp.gate_up_proj:up_proj`), and `:row` where rows are
    asked for but columns are natural. Raises NeftError for a kind that the model lacks.
    """
    return choose(dict(_natural(model)), modules, axis, type(model).__name__)


def choose(
    sites: Mapping[str, Site], modules: Sequence[str] | None, axis: str, name: str
) -> dict[str, Site]:
    """Of all the sites of a model called `name`, those of the given kinds (None: all), along
    `axis`: "natural" or "row".
    """
    present = {site.kind for site in sites.values()}
    for kind in modules or ():
        if kind not in present:
            raise NeftError(
                f"modules: {name}: {errors.unknown_name('module', kind, sorted(present))}"
            )
    chosen = {key: site for key, site in sites.items() if modules is None or site.kind in modules}
    return (
        chosen if axis == "natural" else dict(_as_rows(key, site) for key, site in chosen.items())
    )


def describe(model_dir: str | Path, trust_remote_code: bool = False) -> dict[str, Any]:
    """What a model directory holds, from its config and the files' headers alone: no weight is
    read.

    Returns parameters (a tied one counted once), hidden_size, dtype of storage, architecture, and
    neurons: per key of `find` the fields of its `Site`. trust_remote_code: as for `Checkpoint`.
    """
    from neft.models.checkpoint import Checkpoint

    checkpoint = Checkpoint(model_dir, trust_remote_code)
    model = checkpoint.skeleton
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "hidden_size": model.config.get_text_config().hidden_size,
        "dtype": checkpoint.dtype(),
        "architecture": type(model).__name__,
        "neurons": {key: site.as_json() for key, site in find(model).items()},
    }


def sites_of(record: Mapping[str, Any]) -> dict[str, Site]:
    """The sites in what `describe` returned (or a JSON record of it)."""
    return {key: Site(**site) for key, site in record["neurons"].items()}


def layer_of(key: str) -> int:
    """The number of the layer in a key or a module's name, such as 11 in
    `model.layers.11.mlp.up_proj`; -1 if it has none.
    """
    match = re.search(r"\.(\d+)\.", key)
    return int(match[1]) if match else -1


def is_transposed(module: nn.Module) -> bool:
    """Whether the module stores its weight as `[in, out]`, as GPT-2's Conv1D does."""
    # By name, because the library must work, and start fast, without transformers.
    return type(module).__name__ == "Conv1D"


def _natural(model: nn.Module) -> Iterator[tuple[str, Site]]:
    """Every site of the model with its natural axis."""
    from torch import nn

    for name, module in model.named_modules():
        kinds = next(
            (kinds for end, kinds in MODULES.items() if f".{name}".endswith(f".{end}")), None
        )
        if kinds is None or not (isinstance(module, nn.Linear) or is_transposed(module)):
            continue
        if module.weight.element_size() < 2:  # quantized: packed numbers that no gradient can move
            continue
        transposed = is_transposed(module)
        out, width = reversed(module.weight.shape) if transposed else module.weight.shape
        start = 0
        for kind, rows in zip(kinds, _split(kinds, out, model), strict=True):
            axis = AXES[kind]
            count, length = (rows, width) if axis == "row" else (width, rows)
            key = name if len(kinds) == 1 else f"{name}:{kind}"
            yield (
                key,
                Site(
                    name, kind, axis, start, count, length, dim=int((axis == "row") == transposed)
                ),
            )
            start += rows


def _split(kinds: Sequence[str], out: int, model: nn.Module) -> list[int]:
    """How many of a module's `out` rows belong to each kind."""
    if "k_proj" not in kinds or len(kinds) == 1:
        return [out // len(kinds)] * len(kinds)
    config: Any = model.config
    heads = config.num_attention_heads
    groups = (
        getattr(config, "num_key_value_heads", None) or heads
    )  # fewer with grouped-query attention
    size = out // (heads + 2 * groups)
    return [heads * size, groups * size, groups * size]


def _as_rows(key: str, site: Site) -> tuple[str, Site]:
    """The same matrix read by rows, the literal sentence of the paper."""
    if site.axis == "row":
        return key, site
    rows = replace(site, axis="row", count=site.length, length=site.count, dim=1 - site.dim)
    return f"{key}:row", rows
