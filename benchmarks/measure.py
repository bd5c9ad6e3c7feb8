"""Measuring fairly on machines that do other things as well: interleaved rounds, medians, and what the machine was doing."""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from neft import runtime

RESULTS = Path(__file__).parent / "results"


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long `work` takes: CUDA events on a GPU, the clock elsewhere."""
    if device.type != "cuda":
        began = time.perf_counter()
        work()
        return time.perf_counter() - began
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000


def interleave(
    works: Mapping[str, Callable[[], object]], repeats: int, device: torch.device, after: Callable[[str], object] | None = None
) -> dict[str, list[float]]:
    """Seconds of every work in each of `repeats` rounds, after one round that doesn't count.

    In a round every work runs once, so that whatever else the machine does meets them alike, and in another order than in the
    round before, since a work can be slower or faster for what ran just before it and left caches and memory to it. `after`:
    what is done, off the clock, when a work has run.
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


def ratio(times: list[float], others: list[float]) -> float:
    """The median over rounds of how many times longer: both of a round ran under the same load."""
    return statistics.median(a / b for a, b in zip(times, others, strict=True))


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
