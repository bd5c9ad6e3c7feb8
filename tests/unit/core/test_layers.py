"""Training selected neurons: the proofs that it equals masked dense training, touches nothing else
and can't be misused.

They run on a GPU where there is one.
"""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import LlamaConfig, LlamaForCausalLM

import neft
from neft.core import layers
from neft.core.mask import NeuronMask
from neft.errors import NeftError

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
UP, DOWN = "model.layers.0.mlp.up_proj", "model.layers.1.mlp.down_proj"
CHOICES = {
    "rows": {UP: [0, 3, 40]},
    "columns": {DOWN: [1, 2, 63]},
    "both in one layer": {DOWN: [5, 6, 60], f"{DOWN}:row": [0, 9]},
}


def llama(dtype: torch.dtype = torch.float32, seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=97,
    )
    return LlamaForCausalLM(config).to(DEVICE, dtype)


def batches(count: int, seed: int = 1) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield torch.randint(0, 97, (3, 12), generator=generator).to(DEVICE)


def loss_of(model: nn.Module, tokens: Tensor) -> Tensor:
    loss: Tensor = model(input_ids=tokens, labels=tokens).loss
    return loss


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int,
    accumulate: int = 1,
    clip: float | None = None,
) -> None:
    """A plain loop that knows nothing of neurons."""
    for step, tokens in enumerate(batches(steps * accumulate), start=1):
        (loss_of(model, tokens) / accumulate).backward()
        if step % accumulate == 0:
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()


def weights(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors as the forward pass uses them, without the neurons' own."""
    return {
        name: tensor.clone()
        for name, tensor in model.state_dict().items()
        if not name.endswith("_neurons")
    }


def selected(model: nn.Module, mask: NeuronMask) -> dict[str, Tensor]:
    """Per weight True where the mask selects."""
    flags = {
        name: torch.zeros_like(tensor, dtype=torch.bool) for name, tensor in weights(model).items()
    }
    for key, index in mask.indices.items():
        site = mask.sites[key]
        flags[f"{site.module}.weight"].index_fill_(
            site.dim, index.long().to(DEVICE) + site.start, True
        )
    return flags


def assert_only_selected_moved(
    model: nn.Module, before: dict[str, Tensor], flags: dict[str, Tensor]
) -> None:
    after = weights(model)
    assert after.keys() == before.keys()
    for name, flag in flags.items():
        assert torch.equal(after[name][~flag], before[name][~flag]), (
            f"{name}: an unselected weight moved"
        )
        assert not flag.any() or not torch.equal(after[name][flag], before[name][flag]), (
            f"{name}: no selected weight moved"
        )


def assert_weights_hold_the_trained_values(model: nn.Module) -> None:
    for name, layer in layers.attached(model):
        if layer.row_neurons is not None:
            assert torch.equal(
                layer.current("row"), layer.row_neurons.to(layer.weight.dtype).float()
            ), name
        if layer.column_neurons is not None and layer.row_neurons is None:
            assert torch.equal(
                layer.current("column"), layer.column_neurons.to(layer.weight.dtype).float()
            ), name


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES.keys())
def test_twenty_steps_equal_dense_training_with_masked_gradients(
    choice: dict[str, list[int]],
) -> None:
    dense, sparse = llama(), llama()
    mask = NeuronMask.from_indices(choice, dense)
    flags = selected(dense, mask)
    dense.requires_grad_(False)
    for name in {site.module for site in mask.sites.values()}:
        weight = dense.get_parameter(f"{name}.weight")
        weight.requires_grad_(True)
        weight.register_hook(lambda gradient, flag=flags[f"{name}.weight"]: gradient * flag)
    start = weights(dense)
    train(
        dense,
        torch.optim.AdamW(
            [p for p in dense.parameters() if p.requires_grad], lr=1e-2, weight_decay=0
        ),
        20,
        2,
        clip=0.1,
    )
    train(
        sparse,
        torch.optim.AdamW(neft.attach(sparse, mask), lr=1e-2, weight_decay=0),
        20,
        2,
        clip=0.1,
    )
    expected, result = weights(dense), weights(sparse)
    for name, flag in flags.items():
        if flag.any():
            assert (expected[name] - start[name]).abs().max() > 0.05  # it did train
        torch.testing.assert_close(result[name], expected[name], rtol=0, atol=1e-5)


def test_a_mask_of_all_neurons_equals_training_these_matrices() -> None:
    dense, sparse = llama(), llama()
    mask = NeuronMask.from_indices({UP: range(64), DOWN: torch.arange(64, device=DEVICE)}, dense)
    dense.requires_grad_(False)
    trained = [dense.get_parameter(f"{name}.weight").requires_grad_(True) for name in (UP, DOWN)]
    train(dense, torch.optim.AdamW(trained, lr=1e-2), 10)
    train(sparse, torch.optim.AdamW(neft.attach(sparse, mask), lr=1e-2), 10)
    for name, tensor in weights(dense).items():
        torch.testing.assert_close(weights(sparse)[name], tensor, rtol=0, atol=1e-5)


OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "fused AdamW with decay": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.5, fused=True),
    "foreach AdamW with decay": lambda p: torch.optim.AdamW(
        p, lr=1e-2, weight_decay=0.5, foreach=True
    ),
    "for-loop AdamW with decay": lambda p: torch.optim.AdamW(
        p, lr=1e-2, weight_decay=0.5, foreach=False
    ),
    "SGD with momentum and decay": lambda p: torch.optim.SGD(
        p, lr=1.0, momentum=0.9, weight_decay=0.1
    ),
    "Adafactor": lambda p: torch.optim.Adafactor(p, lr=1e-1),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=1e-2),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_no_optimizer_moves_an_unselected_weight_and_every_step_reaches_the_weights(
    make: Callable, dtype: torch.dtype
) -> None:
    model = llama(dtype)
    mask = NeuronMask.from_indices({**CHOICES["rows"], **CHOICES["columns"]}, model)
    before, flags = weights(model), selected(model, mask)
    parameters = neft.attach(model, mask)
    train(model, make(parameters), 4, accumulate=2)
    assert_only_selected_moved(model, before, flags)
    assert_weights_hold_the_trained_values(model)
    assert all(p.dtype == torch.float32 for p in parameters)


def test_updates_below_the_resolution_of_bfloat16_add_up() -> None:
    model = llama(torch.bfloat16)
    (neurons,) = neft.attach(model, NeuronMask.from_indices({UP: [0]}, model))
    layer = model.get_submodule(UP)
    with torch.no_grad():
        neurons.fill_(1.0)
    optimizer = torch.optim.SGD(
        [neurons], lr=1e-3
    )  # a step of 0.001 at 1.0, where bfloat16's are 0.004 to 0.008
    for _ in range(100):
        neurons.grad = torch.ones_like(neurons)
        optimizer.step()
    assert layer.current("row").mean().item() == pytest.approx(0.9, abs=0.004)


def test_a_closure_sees_the_values_of_its_own_moment() -> None:
    """LBFGS computes many losses within one step, each with other parameters."""
    dense, sparse = llama(), llama()
    mask = NeuronMask.from_indices({UP: range(64)}, dense)
    dense.requires_grad_(False)
    trained = {
        "dense": [dense.get_parameter(f"{UP}.weight").requires_grad_(True)],
        "sparse": neft.attach(sparse, mask),
    }
    tokens = next(batches(1))
    for model, parameters in ((dense, trained["dense"]), (sparse, trained["sparse"])):
        optimizer = torch.optim.LBFGS(parameters, lr=0.5, max_iter=5)

        def closure(
            model: nn.Module = model, optimizer: torch.optim.Optimizer = optimizer
        ) -> Tensor:
            optimizer.zero_grad()
            loss = loss_of(model, tokens)
            loss.backward()
            return loss

        optimizer.step(closure)
    torch.testing.assert_close(
        weights(sparse)[f"{UP}.weight"], weights(dense)[f"{UP}.weight"], rtol=0, atol=1e-4
    )
    assert_weights_hold_the_trained_values(sparse)


def test_gradient_scaling_skips_and_takes_steps_like_a_dense_layer() -> None:
    model = llama()
    (neurons,) = neft.attach(model, NeuronMask.from_indices({UP: [1]}, model))
    optimizer, scaler = (
        torch.optim.AdamW([neurons], lr=1e-2),
        torch.amp.GradScaler(DEVICE.type, init_scale=8.0),
    )
    start = neurons.detach().clone()
    scaler.scale(loss_of(model, next(batches(1)))).backward()
    assert neurons.grad is not None
    neurons.grad[0, 0] = torch.inf
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(neurons, start)
    optimizer.zero_grad()
    scaler.scale(loss_of(model, next(batches(1)))).backward()
    scaler.step(optimizer)
    assert not torch.equal(neurons, start)
    assert_weights_hold_the_trained_values(model)


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_changes_no_gradient(reentrant: bool) -> None:
    results = []
    for checkpointing in (False, True):
        model = llama()
        parameters = neft.attach(
            model, NeuronMask.from_indices({**CHOICES["rows"], **CHOICES["columns"]}, model)
        )
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        model.train()
        train(model, torch.optim.AdamW(parameters, lr=1e-2), 3)
        results.append([p.detach().clone() for p in parameters])
    assert all(
        torch.equal(plain, checkpointed) for plain, checkpointed in zip(*results, strict=True)
    )


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpointed_copy_trains_too(reentrant: bool) -> None:
    model = llama()
    neft.attach(model, NeuronMask.from_indices(CHOICES["rows"], model))
    model = copy.deepcopy(model)
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    model.train()
    loss_of(model, next(batches(1))).backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters() if p.requires_grad
    )


@pytest.mark.parametrize("weights_dtype", [torch.float32, torch.bfloat16], ids=str)
def test_under_autocast_outputs_and_gradients_are_those_of_a_plain_layer(
    weights_dtype: torch.dtype,
) -> None:
    plain, sparse = llama(weights_dtype), llama(weights_dtype)
    (neurons,) = neft.attach(sparse, NeuronMask.from_indices({UP: range(64)}, sparse))
    tokens = next(batches(1))
    losses = []
    for model in (plain, sparse):
        with torch.autocast(DEVICE.type, torch.bfloat16):
            losses.append(loss_of(model, tokens))
        losses[-1].backward()
    assert torch.equal(*losses)
    gradient = plain.get_parameter(f"{UP}.weight").grad
    assert gradient is not None and neurons.grad is not None
    torch.testing.assert_close(neurons.grad, gradient.float(), rtol=1e-2, atol=1e-6)


@pytest.mark.slow
def test_torch_compile_trains_to_the_same_values() -> None:
    results = []
    for compiled in (False, True):
        model = llama()
        parameters = neft.attach(
            model, NeuronMask.from_indices(CHOICES["both in one layer"], model)
        )
        run = torch.compile(model, backend="aot_eager") if compiled else model
        train(run, torch.optim.AdamW(parameters, lr=1e-2), 3)
        results.append(weights(model))
    for name in results[0]:
        torch.testing.assert_close(results[1][name], results[0][name], rtol=0, atol=1e-6)


def test_evaluation_and_generation_with_a_cache_use_the_trained_values() -> None:
    model = llama()
    parameters = neft.attach(model, NeuronMask.from_indices(CHOICES["columns"], model))
    train(model, torch.optim.AdamW(parameters, lr=0.5), 3)
    plain = copy.deepcopy(llama())
    plain.load_state_dict(weights(model))
    tokens = next(batches(1))
    for each in (model, plain):
        each.eval()
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, plain(tokens).logits)
    outputs = [
        m.generate(tokens, max_new_tokens=8, do_sample=False, pad_token_id=0, use_cache=True)
        for m in (model, plain)
    ]
    assert torch.equal(*outputs)


def test_a_deep_or_pickled_copy_trains_by_itself() -> None:
    model = llama()
    neft.attach(model, NeuronMask.from_indices(CHOICES["rows"], model))
    before = weights(model)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        train(
            twin, torch.optim.AdamW([p for p in twin.parameters() if p.requires_grad], lr=1e-2), 2
        )
        assert_weights_hold_the_trained_values(twin)
        assert not torch.equal(weights(twin)[f"{UP}.weight"], before[f"{UP}.weight"])
    assert all(torch.equal(weights(model)[name], tensor) for name, tensor in before.items())


def test_loading_the_neurons_alone_sets_the_weights() -> None:
    source, target = llama(), llama()
    mask = NeuronMask.from_indices({**CHOICES["rows"], **CHOICES["both in one layer"]}, source)
    train(source, torch.optim.AdamW(neft.attach(source, mask), lr=1e-2), 2)
    neft.attach(target, mask)
    trainable = {name: p for name, p in source.named_parameters() if p.requires_grad}
    target.load_state_dict({name: p.detach() for name, p in trainable.items()}, strict=False)
    assert all(
        torch.equal(weights(target)[name], tensor) for name, tensor in weights(source).items()
    )


def test_loading_plain_weights_sets_the_neurons() -> None:
    other, model = llama(seed=5), llama()
    neft.attach(model, NeuronMask.from_indices(CHOICES["rows"], model))
    model.load_state_dict(other.state_dict(), strict=False)
    assert all(torch.equal(weights(model)[name], tensor) for name, tensor in weights(other).items())
    assert_weights_hold_the_trained_values(model)


def test_training_resumed_from_the_trainable_state_alone_ends_bit_for_bit_the_same() -> None:
    mask = NeuronMask.from_indices({**CHOICES["rows"], **CHOICES["columns"]}, llama())
    runs = []
    for cut in (False, True):
        model = llama()
        optimizer = torch.optim.AdamW(neft.attach(model, mask), lr=1e-2, weight_decay=0.1)
        for step, tokens in enumerate(batches(6)):
            if cut and step == 3:
                state = {
                    name: p.detach().clone()
                    for name, p in model.named_parameters()
                    if p.requires_grad
                }
                kept = copy.deepcopy(optimizer.state_dict())
                model = llama()
                optimizer = torch.optim.AdamW(neft.attach(model, mask), lr=1e-2, weight_decay=0.1)
                model.load_state_dict(state, strict=False)
                optimizer.load_state_dict(kept)
            loss_of(model, tokens).backward()
            optimizer.step()
            optimizer.zero_grad()
        runs.append(weights(model))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_detaching_leaves_plain_linear_layers_with_the_trained_values() -> None:
    model = llama()
    classes = {name: type(module) for name, module in model.named_modules()}
    parameters = neft.attach(model, NeuronMask.from_indices(CHOICES["both in one layer"], model))
    train(model, torch.optim.AdamW(parameters, lr=1e-2), 2)
    trained = weights(model)
    neft.detach(model)
    assert {name: type(module) for name, module in model.named_modules()} == classes
    assert model.state_dict().keys() == trained.keys()
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in trained.items())
    assert not model.get_input_embeddings()._forward_hooks
    neft.attach(
        model, NeuronMask.from_indices(CHOICES["rows"], model)
    )  # and it may be attached again


def test_a_layer_without_a_selected_neuron_stays_as_it_is() -> None:
    model = llama()
    down = model.get_submodule(DOWN)
    neft.attach(model, NeuronMask.from_indices({UP: [1], DOWN: []}, model))
    assert model.get_submodule(DOWN) is down


def saved_bytes(run: Callable[[], Tensor], exclude: set[int]) -> int:
    """Bytes that autograd keeps for the backward pass, without the model's own tensors; a storage
    counts once.
    """
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in exclude:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = run()  # held, so that no address is used twice
    del result
    return sum(kept.values())


def test_a_layer_keeps_of_its_input_only_what_its_columns_need() -> None:
    linear = nn.Linear(256, 16, bias=False).requires_grad_(False)
    linear.in_features = 256
    layer = layers.NeuronLinear(
        linear, torch.empty(0, dtype=torch.int64), torch.tensor([3, 100, 200])
    )
    x = torch.randn(50, 256, requires_grad=True)
    own = {
        t.untyped_storage().data_ptr()
        for t in (linear.weight, layer.row_index, layer.column_index, x)
    }
    assert saved_bytes(lambda: layer(x), own) == 50 * 3 * 4
    assert saved_bytes(lambda: linear(x), own) == 0


def test_gradients_and_optimizer_state_are_those_of_the_selected_neurons_alone() -> None:
    model = llama()
    mask = NeuronMask.from_indices({**CHOICES["rows"], **CHOICES["columns"]}, model)
    parameters = neft.attach(model, mask)
    optimizer = torch.optim.AdamW(parameters, lr=1e-2)
    loss_of(model, next(batches(1))).backward()
    optimizer.step()
    assert mask.count == 6 and mask.parameters == 6 * 32
    assert sum(p.grad.numel() for p in model.parameters() if p.grad is not None) == mask.parameters
    moments = [t for state in optimizer.state.values() for t in state.values() if t.ndim > 0]
    assert sum(t.numel() for t in moments) == 2 * mask.parameters


def test_nothing_of_the_size_of_a_dense_gradient_is_ever_allocated() -> None:
    # 1024 x 2048 weights (8 MiB) and few tokens, so that no activation comes near the size of a
    # gradient.
    torch.manual_seed(0)
    linear = nn.Linear(2048, 1024, bias=False)
    layer = layers.NeuronLinear(linear.requires_grad_(False), torch.arange(5), torch.arange(7)).to(
        DEVICE
    )
    optimizer = torch.optim.AdamW([p for p in layer.parameters() if p.requires_grad], lr=1e-3)
    x = torch.randn(4, 2048, device=DEVICE, requires_grad=True)
    (layer(x) * 0).sum().backward()  # a GPU's library takes its working memory at the first product
    activity, usage = (
        torch.profiler.ProfilerActivity,
        "device_memory_usage" if DEVICE.type == "cuda" else "cpu_memory_usage",
    )
    activities = [activity.CPU, activity.CUDA] if DEVICE.type == "cuda" else [activity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        layer(x).square().sum().backward()
        optimizer.step()
    largest = max(getattr(event, usage) for event in profile.events())
    assert 0 < largest < 1 << 20, largest


def test_stepping_between_forward_and_backward_is_an_error_and_not_a_wrong_gradient() -> None:
    model = llama()
    parameters = neft.attach(model, NeuronMask.from_indices({DOWN: [1]} | CHOICES["rows"], model))
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    loss_of(model, next(batches(1))).backward()
    pending = loss_of(model, next(batches(1)))
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        pending.backward()


def test_a_second_derivative_is_refused() -> None:
    layer = layers.NeuronLinear(
        nn.Linear(4, 4), torch.tensor([1]), torch.empty(0, dtype=torch.int64)
    )
    x = torch.randn(2, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_hand_written_checkpoints_work() -> None:
    layer = layers.NeuronLinear(
        nn.Linear(8, 8).requires_grad_(False), torch.tensor([1, 5]), torch.tensor([2])
    )
    x = torch.randn(3, 8, requires_grad=True)
    gradients = []
    for run in (
        layer,
        lambda x: checkpoint(layer, x, use_reentrant=False),
        lambda x: checkpoint(layer, x, use_reentrant=True),
    ):
        layer.zero_grad()
        run(x).square().sum().backward()
        gradients.append([layer.row_neurons.grad.clone(), layer.column_neurons.grad.clone()])
    for other in gradients[1:]:
        assert all(torch.equal(a, b) for a, b in zip(gradients[0], other, strict=True))


def test_attaching_twice_or_a_mask_of_another_model_is_refused() -> None:
    model = llama()
    mask = NeuronMask.from_indices(CHOICES["rows"], model)
    wider = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=32,
            intermediate_size=128,
            num_hidden_layers=1,
            num_attention_heads=4,
            vocab_size=97,
        )
    )
    with pytest.raises(
        NeftError,
        match=r"not for this LlamaForCausalLM: model.layers.0.mlp.up_proj has another shape",
    ):
        neft.attach(wider, mask)
    neft.attach(model, mask)
    with pytest.raises(NeftError, match="detach it first"):
        neft.attach(model, mask)


def test_a_mask_of_other_weights_of_the_same_shape_is_refused_unless_the_hash_is_vouched_for() -> (
    None
):
    model, other = llama(), llama(seed=1)
    mask = NeuronMask.from_indices(CHOICES["rows"], model)
    with pytest.raises(NeftError, match=r"attach: a mask of another base model: made for [0-9a-f]"):
        neft.attach(other, mask)
    assert all(p.requires_grad for p in other.parameters()), "and nothing was changed"
    neft.attach(other, mask, base_hash=mask.base_hash)
    assert any(layers.attached(other))


def test_layers_of_a_deleted_model_are_let_go() -> None:
    gc.collect()
    known = len(layers._layers)
    model = llama()
    neft.attach(model, NeuronMask.from_indices(CHOICES["rows"], model))
    assert len(layers._layers) == known + 1
    del model
    gc.collect()
    assert len(layers._layers) == known
