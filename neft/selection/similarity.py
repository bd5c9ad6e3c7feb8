"""How far each neuron turned and moved between two checkpoints, read side by side and never as
whole models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from neft.core import neurons
from neft.core.neurons import Site
from neft.errors import NeftError
from neft.models.checkpoint import Checkpoint, Stored
from neft.storage import sealed

# Numbers in a block: few enough that all that is made of a pair of blocks stays in a core's cache.
# A GPU wants more at once.
BLOCK = {"cpu": 1 << 17, "cuda": 1 << 24}


class Movement(NamedTuple):
    """What became of some neurons: how far they turned (1 − cos, 0 … 2) and moved (‖v − u‖);
    float32 [neurons] each.
    """

    distance: Tensor
    norm: Tensor


def distances(
    base_dir: str | Path,
    tuned_dir: str | Path,
    modules: Sequence[str],
    axis: str = "natural",
    device: str = "cpu",
) -> dict[str, Tensor]:
    """The distance 1 − cos of every neuron, per key of `neurons.find`: float32 [neurons], 0 unmoved
    … 2 reversed.

    As `movements`, which gives the norm of each neuron's change as well.
    """
    return {
        key: moved.distance
        for key, moved in movements(base_dir, tuned_dir, modules, axis, device).items()
    }


def movements(
    base_dir: str | Path,
    tuned_dir: str | Path,
    modules: Sequence[str],
    axis: str = "natural",
    device: str = "cpu",
    trust_remote_code: bool = False,
) -> dict[str, Movement]:
    """How far every neuron turned and moved from one model directory to another, per key of
    `neurons.find`.

    The distance equals ‖û−v̂‖²/2 of the unit vectors (Xu et al. 2025, eq. 1, rewritten) and is
    right to within 1 % down to 1e-12; 1 − cos itself loses in float32 every difference below 1e-7,
    and a short probe moves most neurons by less. Two zero vectors have distance 0, one has 1. Reads
    every matrix once, in blocks of some rows, as many at a time as torch has threads. Raises
    NeftError if shapes differ or a number isn't finite.
    """
    base, tuned = Checkpoint(base_dir, trust_remote_code), Checkpoint(tuned_dir, trust_remote_code)
    keys_of_base, keys_of_tuned = base.keys_of(), tuned.keys_of()

    def of_site(site: Site) -> Movement:
        name = f"{site.module}.weight"
        if name not in keys_of_tuned:
            raise NeftError(
                f"{tuned_dir}: no tensor {name}, which {base_dir} has: not the same model"
            )
        before, after = base.tensors[keys_of_base[name][0]], tuned.tensors[keys_of_tuned[name][0]]
        if before.shape != after.shape:
            raise NeftError(
                f"{name}: {list(before.shape)} in {base_dir}, {list(after.shape)} in {tuned_dir}:"
                " not the same model"
            )
        moved = compare(Pairs(before, after, site, device), site.count, dim=1 - site.dim)
        if not moved.distance.isfinite().all():
            raise NeftError(f"{name}: NaN or infinite numbers in {base_dir} or {tuned_dir}")
        return moved

    sites = neurons.find(base.skeleton, modules, axis)
    threads = torch.get_num_threads()
    # A matrix for each thread, and not each operation split among all: these are too short to be
    # worth a meeting.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            return dict(zip(sites, pool.map(of_site, sites.values()), strict=True))
        finally:
            torch.set_num_threads(threads)  # what a thread sets is also where later threads start


def save_scores(path: str | Path, scores: dict[str, Tensor], metadata: dict[str, object]) -> None:
    """Write per-neuron scores: per key one float32 vector [neurons], in a safetensors file that
    notices damage.
    """
    sealed.save(path, "scores", scores, {**metadata, "order": list(scores)})


def load_scores(path: str | Path) -> dict[str, Tensor]:
    """Read what `save_scores` wrote, keys in the model's order. Raises NeftError, naming the file,
    if it is damaged.
    """
    tensors, metadata = sealed.load(path, "scores")
    return {key: tensors[key] for key in metadata["order"]}


@dataclass(frozen=True)
class Pairs:
    """A site's part of two stored matrices, some rows at a time; a pair of blocks [rows, columns]
    lasts until the next.
    """

    first: Stored
    second: Stored
    site: Site
    device: str

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of blocks in float32, or float64 where a matrix is stored so, from the first row to
        the last.
        """
        height, width = self.first.shape
        span = slice(self.site.start, self.site.start + self.site.count)
        rows, columns = (span, slice(None)) if self.site.dim == 0 else (slice(0, height), span)
        step = max(1, BLOCK[torch.device(self.device).type] // width)
        dtype = (
            torch.float64
            if torch.float64 in (self.first.dtype, self.second.dtype)
            else torch.float32
        )
        place = (rows.start * width, (rows.stop - rows.start) * width, step * width)
        pinned = torch.device(self.device).type == "cuda"
        for blocks in zip(
            self.first.blocks(*place, pinned), self.second.blocks(*place, pinned), strict=True
        ):
            # To the device first: in one call a GPU's numbers would be converted on the CPU.
            a, b = (block.view(-1, width).to(self.device)[:, columns].to(dtype) for block in blocks)
            yield a, b


def compare(pairs: Iterable[tuple[Tensor, Tensor]], count: int, dim: int) -> Movement:
    """‖û−v̂‖²/2 and ‖v−u‖ of the `count` vectors that lie along `dim` of two matrices; not finite
    where a number isn't.

    pairs: blocks of rows [rows, columns] of the two, of the same shapes; read once, or three times
    where that is needed.

    One pass gives ‖u‖², ‖d‖² and ⟨u,d⟩ of the difference d = v − u, which is exact for vectors near
    each other. One part of d turns u, the other stretches it: ‖d‖² = 2‖u‖‖v‖(1 − cos) + (‖v‖ −
    ‖u‖)². Sums in float32 are right to some 1e-6, so what turns is right to 1e-3 where it is a
    hundredth of ‖d‖² or more. The few vectors that were stretched by more than that, or whose
    squares leave float32's range, are read again for 1 − cos in float64, which is right to 1e-15.
    """
    uu, dd, ud = _total((_squares_and_product(a, b - a, dim) for a, b in pairs), count, dim)
    longer = 2 * ud + dd  # ‖v‖² − ‖u‖²
    vv = uu + longer
    turned = dd - (longer / (uu.sqrt() + vv.sqrt())).square()
    distance = turned / (2 * (uu * vv).sqrt())
    clear = (dd == 0) | (dd > 1e-30) & (turned > dd / 100)
    sure = clear & (uu > 1e-10) & (vv > uu / 4) & (uu + vv + dd).isfinite()
    if not sure.all():
        again = (
            torch.cat([_squares_and_product(a, b, dim), (b - a).square().sum(dim)[None]])
            for a, b in _only(pairs, dim, ~sure)
        )
        uu, vv, uv, dd[~sure] = _total(again, int((~sure).sum()), dim, sums=4)
        product = uu * vv
        zero = torch.where(uu == vv, 0.0, 1.0).double()
        # An infinite number times zero is NaN, not zero: it doesn't pass for a zero vector.
        distance[~sure] = torch.where(product == 0, zero, (1 - uv / product.sqrt()).clamp(min=0))
    return Movement(distance.float().cpu(), dd.sqrt().float().cpu())


def _squares_and_product(x: Tensor, y: Tensor, dim: int) -> Tensor:
    """⟨x,x⟩, ⟨y,y⟩ and ⟨x,y⟩ of the vectors along `dim`: [3, vectors]."""
    return torch.stack([(x * x).sum(dim), (y * y).sum(dim), (x * y).sum(dim)])


def _total(blocks: Iterable[Tensor], count: int, dim: int, sums: int = 3) -> Tensor:
    """[sums, count] in float64 from the sums over blocks of rows: a row is whole in one block, a
    column adds up over all.
    """
    # Written in place: a list of small tensors would lie scattered between the large ones and keep
    # their memory.
    result, row = torch.zeros(sums, count, dtype=torch.float64), 0
    for block in blocks:
        result, row_end = result.to(block.device), row + block.shape[1]
        place = slice(row, row_end) if dim == 1 else slice(None)
        result[:, place] += block
        row = row_end
    return result


def _only(
    pairs: Iterable[tuple[Tensor, Tensor]], dim: int, chosen: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """The chosen vectors (bool, one for each) in float64."""
    row = 0
    for a, b in pairs:
        which = (slice(None), chosen) if dim == 0 else chosen[row : row + len(a)]
        row += len(a)
        yield a[which].double(), b[which].double()
