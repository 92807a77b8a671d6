"""What a device did: medians of CUDA events with quartiles, peak memory, counted arithmetic, and its floor.

On a processor the same calls take the wall clock and leave memory out, so that everything can be tried without a GPU.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

Work = Callable[[], object]

MIB = 2**20
_MOST_CALLS = 2000


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call.

    Attributes
    ----------
    ms, low, high : float
        Median and quartiles.
    calls : int
        How many were measured.
    """

    ms: float
    low: float
    high: float
    calls: int


@dataclass(frozen=True)
class Ceilings:
    """What the device did at its best, measured in the same run; None where it was not.

    Attributes
    ----------
    float32, tf32, bfloat16 : float or None
        Operations per second of a large matrix product.
    bandwidth : float or None
        Bytes per second, read and written, of a large copy.
    """

    float32: float | None = None
    tf32: float | None = None
    bfloat16: float | None = None
    bandwidth: float | None = None


@dataclass(frozen=True)
class Clock:
    """Measures on one device.

    Attributes
    ----------
    device : torch.device
        Where the work is done.
    seconds : float
        Time for each measurement, after two calls that only warm up.
    least : int
        Calls of a measurement, however long they take.
    """

    device: torch.device
    seconds: float
    least: int = 3

    @property
    def is_cuda(self) -> bool:
        """Whether there are events and memory statistics."""
        return self.device.type == "cuda"

    def wait(self) -> None:
        """Wait until the device has done what it was asked for."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)

    def time(self, work: Work, *, wall: bool = False) -> Timing:
        """Measure a work; `wall` waits after every call, as whoever wants the answer on the processor does."""
        for _ in range(2):
            work()
        self.wait()
        start = time.perf_counter()
        work()
        self.wait()
        estimate = max(time.perf_counter() - start, 1e-6)
        calls = int(min(max(self.seconds / estimate, self.least), _MOST_CALLS))
        found = self._by_events(work, calls) if self.is_cuda and not wall else self._by_wall(work, calls)
        low, median, high = np.quantile(found, [0.25, 0.5, 0.75])
        return Timing(float(median), float(low), float(high), calls)

    def _by_events(self, work: Work, calls: int) -> list[float]:
        marks = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(calls)]
        for start, end in marks:
            start.record()
            work()
            end.record()
        self.wait()
        return [start.elapsed_time(end) for start, end in marks]

    def _by_wall(self, work: Work, calls: int) -> list[float]:
        found = []
        for _ in range(calls):
            start = time.perf_counter()
            work()
            self.wait()
            found.append(1e3 * (time.perf_counter() - start))
        return found

    def peak(self, work: Work) -> float | None:
        """Return by how many MiB the memory in use rises above what it was before the call; None on a processor."""
        if not self.is_cuda:
            return None
        work()  # libraries take their workspaces at the first call
        self.wait()
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        work()
        self.wait()
        return (torch.cuda.max_memory_allocated(self.device) - before) / MIB

    def tidy(self) -> None:
        """Give back memory that nothing holds."""
        gc.collect()
        self.wait()
        if self.is_cuda:
            torch.cuda.empty_cache()


def counted(work: Work) -> int:
    """Return the operations (two for a multiplication and its addition) of products, convolutions and attention."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def floor_ms(operations: float, least_bytes: float, peak: float | None, bandwidth: float | None) -> float | None:
    """Return the milliseconds below which the device cannot get: the longer of arithmetic and moving the bytes."""
    if not peak or not bandwidth:
        return None
    return 1e3 * max(operations / peak, least_bytes / bandwidth)


@contextmanager
def tensor_float(on: bool) -> Iterator[None]:
    """Let float32 products and convolutions round their operands to 10 bits (TF32), or forbid it."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32, cudnn.allow_tf32 = on, on
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
