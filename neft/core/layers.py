"""Linear layers of which only some rows or columns are trained, at the price of a frozen layer.

Masking the gradient of a dense matrix saves nothing: the whole gradient and optimizer state exist.
Here the dense weight W stays frozen and already holds the trained values, so the forward pass is a
frozen layer's; an ordinary parameter T holds just the selected vectors, [neurons, length] in
float32, and the backward pass computes just their gradient. After every step of any optimizer W's
selected vectors are overwritten with T. Nothing can move an unselected weight.

The module is not called `attach`, because a module of that name would hide the function
`neft.attach`.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from neft import errors
from neft.core import neurons
from neft.errors import NeftError
from neft.models import identity

if TYPE_CHECKING:
    from neft.core.mask import NeuronMask

# Every layer alive, copies too, so that the optimizers' hooks find the layers of the parameters
# that were stepped.
_layers: weakref.WeakSet[NeuronLinear] = weakref.WeakSet()


def attach(
    model: nn.Module,
    mask: NeuronMask,
    relative_step: bool = False,
    base_hash: str | None = None,
) -> list[nn.Parameter]:
    """Make the mask's neurons the only trainable part of the model, in place.

    Everything else is frozen; linear layers with a selected neuron are swapped. Returns the
    trainable parameters: per touched layer `row_neurons` or `column_neurons` (or both), [neurons,
    length], float32 (float64 if the model is).

    relative_step: multiply each neuron's learning rate by its norm in the base model over the mean
    norm of all selected ones. An adaptive optimizer moves every neuron by about the same length, so
    that small ones turn more; with this all turn alike. base_hash: the hash of the model's base,
    where it is known; else it is computed (some 25 ms for 135M parameters, from a sample of each).
    Give `mask.base_hash` to go on with a model that has been trained already, or that was loaded in
    a narrower dtype than it is stored in. Raises NeftError if the model is attached already or the
    mask belongs to another one: other weights, names or shapes.
    """
    if any(isinstance(module, NeuronLinear) for module in model.modules()):
        raise NeftError("attach: this model has a mask attached already; detach it first")
    rows: dict[str, list[Tensor]] = {}
    columns: dict[str, list[Tensor]] = {}
    sites = neurons.find(model) | neurons.find(model, axis="row")
    for key, index in mask.indices.items():
        if sites.get(key) != mask.sites[key]:
            reason = (
                errors.unknown_name("module", key, list(sites))
                if key not in sites
                else f"{key} has another shape"
            )
            raise NeftError(f"attach: the mask is not for this {type(model).__name__}: {reason}")
        site = sites[key]
        (rows if site.axis == "row" else columns).setdefault(site.module, []).append(
            index.long() + site.start
        )
    mask.check_base(base_hash or identity.base_hash(model), "attach")
    model.requires_grad_(False)
    for name in dict.fromkeys([*rows, *columns]):
        row, column = _index(rows.get(name)), _index(columns.get(name))
        if len(row) + len(column):
            _swap(model, name, NeuronLinear(model.get_submodule(name), row, column))
    if relative_step:
        _set_rates([layer for _, layer in attached(model)])
    _let_checkpoints_see_gradients(model)
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def detach(model: nn.Module) -> nn.Module:
    """Put the original layers back, with the trained values, still frozen; changes and returns
    `model`.
    """
    for name, layer in list(attached(model)):
        _swap(model, name, layer.original())
    for module in model.modules():
        hook = getattr(module, "_neft_hook", None)
        if hook is not None:
            hook.remove()
            del module._neft_hook
    return model


def attached(model: nn.Module) -> Iterator[tuple[str, NeuronLinear]]:
    """The model's layers with trained neurons, by name."""
    for name, module in model.named_modules():
        if isinstance(module, NeuronLinear):
            yield name, module


class NeuronLinear(nn.Module):
    """A frozen linear layer with some trained rows, columns or both.

    `weight` (and `bias`) are the original's own and frozen. Where a trained row crosses a trained
    column the row decides.
    """

    row_index: Tensor
    column_index: Tensor

    def __init__(self, original: nn.Module, rows: Tensor, columns: Tensor) -> None:
        """Take over `original` (an nn.Linear or Conv1D); rows, columns: ascending int64 numbers in
        the [out, in] weight.
        """
        super().__init__()
        self.weight: nn.Parameter = original.weight  # type: ignore[assignment]
        self.bias: nn.Parameter | None = original.bias  # type: ignore[assignment]
        self.transposed = neurons.is_transposed(original)
        self.training = original.training
        # In a tuple, so that the original is no submodule: its weights would appear twice.
        self._original = (original,)
        device = self.weight.device
        self.register_buffer("row_index", rows.to(device), persistent=False)
        self.register_buffer("column_index", columns.to(device), persistent=False)
        self.row_neurons = nn.Parameter(self.current("row")) if len(rows) else None
        self.column_neurons = nn.Parameter(self.current("column")) if len(columns) else None
        self.rates: dict[str, Tensor] = {}  # per axis [neurons, 1], where steps are relative
        self._before: dict[str, Tensor] = {}
        _layers.add(self)

    def trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Axis and vectors of what is trained here."""
        for axis, parameter in (("row", self.row_neurons), ("column", self.column_neurons)):
            if parameter is not None:
                yield axis, parameter

    def remember(self) -> None:
        """Before a step of an optimizer: keep what `rescale` starts from, if steps are relative."""
        self._before = {
            axis: parameter.detach().clone() for axis, parameter in self.trained() if self.rates
        }

    def rescale(self) -> None:
        """After a step: multiply each neuron's change by its rate; exact for any optimizer."""
        with torch.no_grad():
            for axis, parameter in self.trained():
                if axis in self._before:
                    rate = self.rates[axis].to(parameter.device)
                    parameter.copy_(torch.lerp(self._before[axis], parameter, rate))
        self._before = {}

    def dense(self) -> Tensor:
        """The frozen weight as [out, in], a view."""
        return self.weight.detach().t() if self.transposed else self.weight.detach()

    def current(self, axis: str) -> Tensor:
        """A copy of the selected vectors as the model uses them, [neurons, length], in training
        precision.
        """
        dense, index = self.dense(), self.row_index
        if axis == "column":
            dense, index = dense.t(), self.column_index
        return dense[index].to(torch.promote_types(dense.dtype, torch.float32))

    def refresh(self) -> None:
        """Write the trained vectors into the dense weight."""
        # On the parameter and not its data: a backward pass that still needs the former values must
        # fail, not use these.
        with torch.no_grad():
            dense = self.weight.t() if self.transposed else self.weight
            if self.column_neurons is not None:
                # Turned over first: from a strided source the copy took up to four times as long on
                # a CPU.
                columns = self.column_neurons.to(dense.dtype).t().contiguous()
                dense.index_copy_(1, self.column_index, columns)
            if self.row_neurons is not None:
                dense.index_copy_(0, self.row_index, self.row_neurons.to(dense.dtype))

    def original(self) -> nn.Module:
        """The layer that this one stands for, holding the present values."""
        (original,) = self._original
        original.weight, original.bias = self.weight, self.bias  # type: ignore[assignment]
        return original.train(self.training)

    def forward(self, x: Tensor) -> Tensor:
        """What the frozen layer computes; x: [..., in]. Result: [..., out]."""
        weight = self.dense()
        bias: Tensor | None = self.bias
        device = x.device.type
        if torch.is_autocast_enabled(device) and x.dtype != torch.float64:
            dtype = torch.get_autocast_dtype(device)
            x, weight = x.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        if not torch.is_grad_enabled():
            return functional.linear(x, weight, bias)
        trained = (self.row_neurons, self.column_neurons, self.row_index, self.column_index)
        y: Tensor = _Linear.apply(x, weight, bias, *trained)  # type: ignore[no-untyped-call]
        return y

    def extra_repr(self) -> str:
        """Sizes, for `print(model)`."""
        out, width = self.dense().shape
        return (
            f"in={width}, out={out}, rows={len(self.row_index)}, columns={len(self.column_index)}"
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copied or unpickled layer is one more whose weight follows its optimizer."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        _layers.add(self)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Keep weight and neurons the same values, whichever of them the state holds (of both, the
        neurons).
        """
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        with torch.no_grad():
            for axis, parameter in (("row", self.row_neurons), ("column", self.column_neurons)):
                if parameter is not None and f"{prefix}{axis}_neurons" not in state_dict:
                    parameter.copy_(self.current(axis))
        self.refresh()


class _Linear(torch.autograd.Function):
    """y = x Wᵀ + b with gradients for x and for T alone; T's values are in W already."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        row_neurons: Tensor | None,
        column_neurons: Tensor | None,
        row_index: Tensor,
        column_index: Tensor,
    ) -> Tensor:
        # What isn't needed is not kept: without trained rows not the input, in the first layer not
        # the weight.
        kept_x = x if row_neurons is not None else None
        kept_columns = _take(x, column_index) if column_neurons is not None else None
        kept_weight = weight if ctx.needs_input_grad[0] else None
        ctx.save_for_backward(kept_x, kept_columns, kept_weight, row_index)
        ctx.dtypes = [None if t is None else t.dtype for t in (row_neurons, column_neurons)]
        return functional.linear(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, x_columns, weight, row_index = ctx.saved_tensors
        dx = None if weight is None else dy @ weight
        d_rows = d_columns = None
        if x is not None:
            d_rows = (_flat(_take(dy, row_index)).t() @ _flat(x)).to(ctx.dtypes[0])  # [rows, in]
        if x_columns is not None:
            d_columns = (_flat(x_columns).t() @ _flat(dy)).to(ctx.dtypes[1])  # [columns, out]
            if x is not None:
                d_columns.index_fill_(1, row_index, 0)  # the row decides where both cross
        return dx, None, None, d_rows, d_columns, None, None


def _flat(x: Tensor) -> Tensor:
    """[..., n] -> [all, n]."""
    return x.reshape(-1, x.shape[-1])


def _take(x: Tensor, index: Tensor) -> Tensor:
    """The selected elements of the last dimension; x itself if that is all of them."""
    # On a CPU index_select along the last dimension takes three to four times as long.
    return x if len(index) == x.shape[-1] else x.gather(-1, index.expand(*x.shape[:-1], -1))


def _index(parts: list[Tensor] | None) -> Tensor:
    return torch.unique(torch.cat(parts)) if parts else torch.empty(0, dtype=torch.int64)


def _swap(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)


class _InputGradients:
    """Makes the embedding's output require a gradient while the model checkpoints its activations.

    Reentrant checkpointing gives no gradient at all, in silence, where no input of a block requires
    one, and in a model with frozen embeddings none does. A method of an object, because deepcopy
    then takes the model's copy along.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if torch.is_grad_enabled() and any(
            getattr(m, "gradient_checkpointing", False) for m in self.model.modules()
        ):
            output.requires_grad_(True)


def _let_checkpoints_see_gradients(model: nn.Module) -> None:
    find_embeddings = getattr(model, "get_input_embeddings", None)
    if find_embeddings is not None:
        embeddings = find_embeddings()
        embeddings._neft_hook = embeddings.register_forward_hook(_InputGradients(model))


def _layers_of(optimizer: Optimizer) -> list[NeuronLinear]:
    """The layers whose neurons this optimizer trains."""
    stepped = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    return [
        layer
        for layer in _layers
        if id(layer.row_neurons) in stepped or id(layer.column_neurons) in stepped
    ]


def _set_rates(layers: list[NeuronLinear]) -> None:
    norms = {
        (layer, axis): parameter.detach().norm(dim=1, keepdim=True)
        for layer in layers
        for axis, parameter in layer.trained()
    }
    mean = torch.cat([norm.float().cpu() for norm in norms.values()]).mean()
    for (layer, axis), norm in norms.items():
        layer.rates[axis] = norm / mean.to(norm)


def _refresh(layers: Iterable[NeuronLinear]) -> None:
    for layer in layers:
        layer.refresh()


def _after_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    layers = _layers_of(optimizer)
    for layer in layers:
        layer.rescale()
    _refresh(layers)


def _before_step(optimizer: Optimizer, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
    """A closure (LBFGS) computes losses in the middle of a step: it too must see the parameters as
    they are then.
    """
    layers = _layers_of(optimizer)
    for layer in layers:
        layer.remember()
    closure = args[1] if len(args) > 1 else kwargs.get("closure")
    if closure is None or not layers:
        return None

    def fresh_closure() -> Any:
        _refresh(layers)
        return closure()

    return (args[0], fresh_closure), {}


# The one place that sees a step of every optimizer: T's version counter does not move under fused
# optimizers.
register_optimizer_step_post_hook(_after_step)
register_optimizer_step_pre_hook(_before_step)
