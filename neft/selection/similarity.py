"""How far each neuron turned and moved between two checkpoints, read side by side and never as
whole models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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

# What `compare` trusts sums in float32 for; beyond these it counts in float64.
SQUARES = 1e-10
"""Of a vector's squares: float32 holds its smallest one, some 1e-6 of this, as a normal number."""
CHANGES = 1e-30
"""Of a change's squares: below it some of them are below float32's smallest numbers."""
TURNED = 1 / 100
"""Share of a change's squares that turns the vector: what rounding loses of the whole is then below
a thousandth of that share.
"""
SHRUNK = 1 / 4
"""Of a vector's squares that are left: ‖v‖² is the sum ‖u‖² + 2⟨u,d⟩ + ‖d‖², of which no more may
cancel.
"""


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


def save_scores(path: str | Path, scores: dict[str, Tensor], metadata: dict[str, Any]) -> None:
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

    Sums in float32 serve all vectors but the few that `_fast` is not sure of: those are read again
    in float64.
    """
    fast, sure = _fast(pairs, count, dim)
    if sure.all():
        return Movement(fast.distance.float().cpu(), fast.norm.float().cpu())
    exact = _exact(_only(pairs, dim, ~sure), int((~sure).sum()), dim)
    for found, again in zip(fast, exact, strict=True):
        found[~sure] = again
    return Movement(fast.distance.float().cpu(), fast.norm.float().cpu())


def _fast(pairs: Iterable[tuple[Tensor, Tensor]], count: int, dim: int) -> tuple[Movement, Tensor]:
    """Movements (float64 [count]) from sums in float32, and which of them are sure (bool [count]).

    One pass gives ‖u‖², ‖d‖² and ⟨u,d⟩ of the difference d = v − u, which is exact for vectors near
    each other. One part of d turns u, the other stretches it: ‖d‖² = 2‖u‖‖v‖(1 − cos) + (‖v‖ −
    ‖u‖)². Sums in float32 are right to some 1e-6, so what turns is right to 1e-3 where it is a
    hundredth of ‖d‖² or more. Not sure are vectors that were stretched by more than that, or whose
    squares leave float32's range.
    """
    uu, dd, ud = _total((_squares_and_product(a, b - a, dim) for a, b in pairs), count, dim)
    longer = 2 * ud + dd  # ‖v‖² − ‖u‖²
    vv = uu + longer
    turned = dd - (longer / (uu.sqrt() + vv.sqrt())).square()
    unmoved, turning = dd == 0, (dd > CHANGES) & (turned > TURNED * dd)
    in_range = (uu > SQUARES) & (vv > SHRUNK * uu) & (uu + vv + dd).isfinite()
    moved = Movement(turned / (2 * (uu * vv).sqrt()), dd.sqrt())
    return moved, (unmoved | turning) & in_range


def _exact(pairs: Iterable[tuple[Tensor, Tensor]], count: int, dim: int) -> Movement:
    """Movements (float64 [count]) of vectors in float64: 1 − cos is then right to 1e-15."""
    sums = (
        torch.cat([_squares_and_product(a, b, dim), (b - a).square().sum(dim)[None]])
        for a, b in pairs
    )
    uu, vv, uv, dd = _total(sums, count, dim, sums=4)
    product = uu * vv
    zero = torch.where(uu == vv, 0.0, 1.0).double()
    # An infinite number times zero is NaN, not zero: it doesn't pass for a zero vector.
    distance = torch.where(product == 0, zero, (1 - uv / product.sqrt()).clamp(min=0))
    return Movement(distance, dd.sqrt())


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
