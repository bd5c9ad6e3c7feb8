"""Measuring fairly on machines that do other things as well: interleaved rounds, medians, and what
the machine was doing.
"""

from __future__ import annotations

import ctypes
import math
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from neft.models import runtime

RESULTS = Path(__file__).parent / "results"


MALLOC = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, -1), "M_ARENA_MAX": (-8, 1)}
"""Options of `mallopt(3)`, their numbers in <malloc.h>, and values: all blocks from one heap, which
never shrinks.
"""


def keep_freed_memory() -> None:
    """Have the C library keep what is freed for what is asked for next, as torch does on a GPU;
    glibc alone can.

    By default it returns large blocks to the kernel, which clears every page of the next ones: 5 to
    30 % of any contestant's step on a CPU, another share each time. Runs of the workflow don't do
    this: full fine-tuning of the 135M model took a third more memory, since holes in the heap don't
    fit batches of other lengths, for 10 to 15 % less time.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        for option, value in MALLOC.values():
            library.mallopt(option, value)


def return_freed_memory() -> None:
    """Give back what was kept, where another process needs it now."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long `work` takes: CUDA events on a GPU, the clock elsewhere."""
    if device.type != "cuda":
        began = time.perf_counter()
        work()
        return time.perf_counter() - began
    event: Any = torch.cuda.Event
    start, end = (event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000


def interleave(
    works: Mapping[str, Callable[[], object]],
    repeats: int,
    device: torch.device,
    after: Callable[[str], object] | None = None,
) -> dict[str, list[float]]:
    """Seconds of every work in each of `repeats` rounds, after one round that doesn't count.

    In a round every work runs once, so that whatever else the machine does meets them alike, and in
    another order than in the round before, since a work can be slower or faster for what ran just
    before it and left caches and memory to it. `after`: what is done, off the clock, when a work
    has run.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    shuffled = random.Random(0)
    for number in range(repeats + 1):
        for name in shuffled.sample(list(works), len(works)):
            taken = seconds(works[name], device)
            if after:
                after(name)
            if number:
                times[name].append(taken)
        show(f"round {number} of {repeats}")
    return times


def ratio(times: list[float], others: list[float]) -> dict[str, float]:
    """How many times longer: the median over rounds, since both of a round ran under the same load,
    and its interval.

    The interval, `low` to `high`, is between two of the rounds' values and holds the true median
    with 95 % confidence whatever the distribution (order statistics and the sign test: Conover,
    Practical Nonparametric Statistics, 3.2). Fewer than six rounds can't give 95 %; then it is
    their range.
    """
    found = sorted(a / b for a, b in zip(times, others, strict=True))
    count, outside, cut = (
        len(found),
        1,
        0,
    )  # outside: in 2^-count, the chance that at most `cut` rounds lie below the median
    while 2 * (outside + math.comb(count, cut + 1)) <= 0.05 * 2**count:
        cut += 1
        outside += math.comb(count, cut)
    return {"median": statistics.median(found), "low": found[cut], "high": found[-1 - cut]}


def spread(times: list[float]) -> dict[str, float]:
    """Median, quartiles and the fastest."""
    low, middle, high = statistics.quantiles(times, n=4)
    return {"seconds": middle, "low": low, "high": high, "fastest": min(times)}


def peak_bytes(device: torch.device) -> int:
    """Most memory this process has held."""
    status = Path("/proc/self/status")
    if device.type == "cuda" or not status.exists():
        return runtime.peak_memory_bytes(device)
    # Not ru_maxrss: Linux lets a child process start with the peak of the one that started it.
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def machine(device: torch.device) -> dict[str, Any]:
    """Device, threads, load (others' work counts too) and versions."""
    return {
        "device": runtime.device_name(device),
        "threads": torch.get_num_threads(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "versions": runtime.versions(),
    }


def result_file(name: str, device: torch.device) -> Path:
    """Where the result of a benchmark on this kind of device goes."""
    return RESULTS / f"{name}.{device.type}.json"


def show(text: str) -> None:
    """Say on standard error what is going on."""
    print(text, file=sys.stderr, flush=True)
