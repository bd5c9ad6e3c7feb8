"""Distances: exact where cosines in float32 are noise, streamed, and never silently wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from neft.errors import NeftError
from neft.models.checkpoint import Checkpoint
from neft.selection import similarity
from tiny import make_tiny_model

BOTH = ["up_proj", "down_proj"]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def compare(a: Tensor, b: Tensor, dim: int = 1) -> Tensor:
    """Two whole matrices as one pair of blocks."""
    return similarity.compare([(a.to(DEVICE), b.to(DEVICE))], a.shape[1 - dim], dim).distance


def exact(a: Tensor, b: Tensor) -> mpmath.mpf:
    """1 − cos of two vectors with 60 digits."""
    with mpmath.workdps(60):
        x, y = ([mpmath.mpf(v) for v in t.double().tolist()] for t in (a, b))
        dot, xx, yy = (
            mpmath.fsum(p * q for p, q in zip(u, v, strict=True))
            for u, v in ((x, y), (x, x), (y, y))
        )
        return 1 - dot / mpmath.sqrt(xx * yy)


def pair_at(
    distance: float, scale: float = 1.0, size: int = 576, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Two float32 vectors about so far apart, the second so many times longer."""
    generator = torch.Generator().manual_seed(seed)
    a, noise = torch.randn(2, size, generator=generator, dtype=torch.float64)
    noise -= a * (noise @ a) / (a @ a)
    b = a + noise * (2 * distance) ** 0.5 * a.norm() / noise.norm()
    return a.float(), (scale * b).float()


@pytest.mark.parametrize("exponent", range(1, 13))
@pytest.mark.parametrize("scale", [1, 1.001, 1.7, 1e-3, 1e6])
@pytest.mark.parametrize("dim", [0, 1])
def test_distances_agree_with_sixty_digits_down_to_1e_12(
    exponent: int, scale: float, dim: int
) -> None:
    a, b = pair_at(10.0**-exponent, scale)
    truth = float(exact(a, b))
    assert truth == pytest.approx(10.0**-exponent, rel=0.2)
    pair = [x.unsqueeze(1 - dim) for x in (a, b)]
    assert compare(*pair, dim=dim).item() == pytest.approx(truth, rel=1e-3, abs=0)


def test_ranks_where_a_cosine_in_float32_cannot() -> None:
    pairs = [pair_at(10.0 ** -(7 + step / 4), seed=step) for step in range(20)]
    a, b = (torch.stack(side) for side in zip(*pairs, strict=True))
    ours = compare(a, b)
    naive = 1 - torch.nn.functional.cosine_similarity(a, b)
    assert ours.argsort(descending=True).tolist() == list(range(20))
    assert len(naive.unique()) < 20


finite = st.floats(-1e3, 1e3, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3)
vector = st.lists(finite, min_size=4, max_size=4)


@settings(deadline=None)
@given(a=vector, b=vector, scale=st.floats(0.01, 100))
def test_distances_are_symmetric_scale_free_and_between_0_and_2(
    a: list[float], b: list[float], scale: float
) -> None:
    x, y = torch.tensor([a]), torch.tensor([b])
    distance = compare(x, y)
    assert 0 <= distance.item() <= 2 + 1e-6
    # The difference of two vectors is the same both ways, to the bit; what stretches them is known
    # to some 1e-6 of its square, and what turns is at least a hundredth of that or computed in
    # float64.
    torch.testing.assert_close(compare(y, x), distance, rtol=2e-4, atol=1e-14)
    torch.testing.assert_close(compare(x * scale, y), distance, rtol=1e-3, atol=1e-12)
    assert compare(x, x).item() == 0


def test_zero_vectors_are_unmoved_together_and_at_right_angles_to_all_others() -> None:
    zero, other = torch.zeros(1, 4), torch.ones(1, 4)
    assert compare(zero, zero).item() == 0
    assert compare(zero, other).item() == compare(other, zero).item() == 1
    assert compare(other, -other).item() == pytest.approx(2)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_tiny_and_huge_vectors_neither_vanish_nor_overflow(size: float) -> None:
    a, b = (x.unsqueeze(0) for x in pair_at(1e-3))
    assert compare(a * size, b * size).item() == pytest.approx(1e-3, rel=1e-2)


@settings(deadline=None)
@given(a=vector, b=vector, size=st.sampled_from([1e-30, 1.0, 1e30]), dim=st.sampled_from([0, 1]))
def test_the_norm_is_that_of_the_difference_at_any_size(
    a: list[float], b: list[float], size: float, dim: int
) -> None:
    x, y = (torch.tensor([values]) * size for values in (a, b))
    expected = (y.double() - x.double()).norm().float()
    x, y = (x, y) if dim == 1 else (x.t(), y.t())
    norm = similarity.compare([(x, y)], 1, dim).norm[0]
    torch.testing.assert_close(norm, expected, rtol=1e-5, atol=1e-6 * size)


def two_models(folder: Path, **options: object) -> tuple[Path, Path]:
    return make_tiny_model(folder / "base", **options), make_tiny_model(
        folder / "tuned", seed=1, **options
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("axis", ["natural", "row"])
def test_checkpoints_are_compared_neuron_by_neuron(
    tmp_path: Path, axis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(similarity.BLOCK, DEVICE, 100)  # several blocks, the last one shorter
    base, tuned = two_models(tmp_path)
    scores = similarity.distances(base, tuned, BOTH, axis, DEVICE)
    before, after = load_file(base / "model.safetensors"), load_file(tuned / "model.safetensors")
    assert len(scores) == 4
    for key, vector in scores.items():
        a, b = (t[f"{key.removesuffix(':row')}.weight"].double() for t in (before, after))
        if "down_proj" in key and axis == "natural":
            a, b = a.t(), b.t()
        expected = 1 - torch.nn.functional.cosine_similarity(a, b)
        assert vector.dtype == torch.float32
        torch.testing.assert_close(vector.double(), expected, rtol=1e-5, atol=1e-7)
        norm = similarity.movements(base, tuned, BOTH, axis, DEVICE)[key].norm
        torch.testing.assert_close(norm.double(), (b - a).norm(dim=1), rtol=1e-5, atol=0)


def test_vectors_that_were_only_scaled_have_not_turned(tmp_path: Path) -> None:
    base = make_tiny_model(tmp_path / "base")
    scaled = make_tiny_model(tmp_path / "scaled")
    tensors = {name: 3 * tensor for name, tensor in load_file(scaled / "model.safetensors").items()}
    save_file(tensors, scaled / "model.safetensors", metadata={"format": "pt"})
    assert all(vector.max() < 1e-13 for vector in similarity.distances(base, scaled, BOTH).values())


MEASURE = """
import re, sys
from neft.selection import similarity

def peak():
    similarity.distances(sys.argv.pop(1), sys.argv.pop(1), ["up_proj", "down_proj"])
    # Not ru_maxrss: a child process starts with the peak of the one that started it.
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])

small = peak()
print(peak() - small)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_matrices_take_no_more_memory_than_small_ones(tmp_path: Path) -> None:
    small = make_tiny_model(tmp_path / "small", layers=1)
    config = json.loads((small / "config.json").read_text()) | {
        "hidden_size": 1024,
        "intermediate_size": 16384,
        "head_dim": 8,
    }
    numbers = torch.randn(1024 * 16384)
    folders = []
    for name in ("base", "tuned"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        shapes = {key: list(parameter.shape) for key, parameter in skeleton_parameters(folder)}
        # 64 MiB a matrix, 200 MiB a file; a fresh piece of memory for each, because safetensors
        # refuses shared ones.
        tensors = {
            key: numbers[: torch.Size(shape).numel()].view(shape).clone()
            for key, shape in shapes.items()
        }
        numbers += 0.01 * numbers.flip(0)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        folders.append(folder)
    command = [sys.executable, "-c", MEASURE, *map(str, (small, small, *folders))]
    path = str(Path(similarity.__file__).parents[2])
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    assert int(done.stdout) < 64 * 1024  # KiB: far below one matrix and its partner


def skeleton_parameters(folder: Path) -> list[tuple[str, Tensor]]:
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        return list(AutoModelForCausalLM.from_config(config).named_parameters())


def test_sharded_and_bfloat16_checkpoints_give_the_same_distances(tmp_path: Path) -> None:
    base, tuned = two_models(tmp_path, dtype="bfloat16")
    expected = similarity.distances(base, tuned, BOTH, device=DEVICE)
    model = AutoModelForCausalLM.from_pretrained(tuned, dtype=torch.float32)
    model.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    result = similarity.distances(base, tmp_path / "sharded", BOTH, device=DEVICE)
    assert list(result) == list(expected)
    assert all(torch.equal(result[key], vector) for key, vector in expected.items())


@pytest.mark.parametrize("module", ["up_proj", "down_proj"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("zero", [False, True])
def test_a_number_that_is_none_is_an_error_that_names_the_tensor(
    tmp_path: Path, module: str, bad: float, zero: bool
) -> None:
    base, tuned = two_models(tmp_path)
    name = f"model.layers.1.mlp.{module}.weight"
    tensors = load_file(tuned / "model.safetensors")
    tensors[name][3, 5] = bad
    save_file(tensors, tuned / "model.safetensors", metadata={"format": "pt"})
    if zero:
        tensors = load_file(base / "model.safetensors")
        tensors[name].zero_()
        save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(NeftError, match=rf"{name}: NaN or infinite"):
        similarity.distances(base, tuned, [module])


def test_another_shape_and_a_truncated_file_are_errors(tmp_path: Path) -> None:
    base = make_tiny_model(tmp_path / "base")
    deeper = make_tiny_model(tmp_path / "deeper", layers=1)
    with pytest.raises(NeftError, match=r"no tensor model.layers.1"):
        similarity.distances(base, deeper, BOTH)
    file = deeper / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(NeftError, match=r"model.safetensors: not a whole safetensors file"):
        Checkpoint(deeper)
    (deeper / "config.json").write_text(json.dumps({"model_type": "none-such"}))
    with pytest.raises(NeftError, match="deeper"):
        similarity.distances(base, deeper, BOTH)


def test_scores_survive_the_disk_in_the_models_order(tmp_path: Path) -> None:
    scores = {"layers.10": torch.tensor([0.5]), "layers.2": torch.tensor([0.1, 0.2])}
    similarity.save_scores(tmp_path / "scores", scores, {"base_hash": "b"})
    loaded = similarity.load_scores(tmp_path / "scores")
    assert list(loaded) == list(scores)
    assert all(torch.equal(loaded[key], vector) for key, vector in scores.items())
