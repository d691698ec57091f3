"""Seconds of a step, and the peak memory of a run, on the device where the model is."""

import time
from collections.abc import Callable
from typing import Any

import psutil
import torch

from autopeft.proxy.generation import device_of

TIMED = 2  # steps that are timed, after one that warms up


def fastest(step: Callable[[], object], model: Any) -> float:
    """Seconds of the fastest of a few steps: what else the machine does only ever makes one slower."""
    seconds = []
    for _ in range(TIMED + 1):
        started = time.perf_counter()
        step()
        if cuda_devices(model):
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def cuda_devices(model: Any) -> list[torch.device]:
    """The CUDA device of a model, as a list; empty on a CPU."""
    device = device_of(model)
    return [device] if device.type == "cuda" else []


def reset_peak_memory(model: Any) -> None:
    """Begin to measure what `peak_memory` gives."""
    for device in cuda_devices(model):
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(model: Any) -> int:
    """Bytes: the device's peak during the run on CUDA, the resident size of the process on a CPU."""
    devices = cuda_devices(model)
    return torch.cuda.max_memory_allocated(devices[0]) if devices else psutil.Process().memory_info().rss
