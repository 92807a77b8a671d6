"""Independent parts of a computation at the same time, each on a thread that computes alone. Knows no models.

Torch shares each operation among its threads, and they wait for each other at its end. With operations as small as
those of one prompt the waiting takes longer than the arithmetic, above all while other programs run. Parts that need
nothing of each other wait once, at the end of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from threading import Barrier, Lock
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
    """Do the same work on every part, on as many threads as torch has for the caller, and return in their order.

    Fewer parts than threads go one after the other, each with all of torch's threads: no core stands idle. The
    modes of the caller (inference, mixed precision) hold on these threads. Nothing changes for other threads.

    Parameters
    ----------
    work : callable
        Gets a part and returns its result. Shares nothing that it changes with other parts.
    parts : iterable
        What to work on.

    Raises
    ------
    Exception
        What the work raised first; no further part is begun then.
    """
    waiting = list(parts)
    threads = torch.get_num_threads()
    if threads < 2 or len(waiting) < threads:
        return [work(part) for part in waiting]
    ready = Barrier(threads + 1)
    modes = _modes()
    numbers, lock = iter(range(len(waiting))), Lock()
    results: dict[int, Result] = {}

    def go_through() -> None:
        torch.get_num_threads()  # the first question gives a thread its number, which would undo the next line
        torch.set_num_threads(1)  # of this thread, and of threads that begin from now on
        ready.wait()
        try:
            with modes():
                for number in _taken(numbers, lock):
                    results[number] = work(waiting[number])
        finally:
            _exhaust(numbers, lock)  # after an error the others begin nothing more

    with ThreadPoolExecutor(threads, "side by side") as pool:
        try:
            going = [pool.submit(go_through) for _ in range(threads)]
            ready.wait()
        except RuntimeError:  # one more thread cannot be had, and those that are there must not wait for it
            ready.abort()
            pool.shutdown()  # until they have set their number, which the next line has to come after
            raise
        finally:
            torch.set_num_threads(threads)  # as it is here already, and of threads that begin from now on
    for one in going:
        one.result()
    return [results[number] for number in range(len(waiting))]


def _modes() -> Callable[[], AbstractContextManager[None]]:
    """Return what brings the modes of this thread to another one."""
    inference, mixed = torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")
    gradients, dtype = torch.is_grad_enabled(), torch.get_autocast_dtype("cpu")

    @contextmanager
    def modes() -> Iterator[None]:
        with (
            torch.inference_mode(inference),
            torch.set_grad_enabled(gradients),
            torch.autocast("cpu", dtype, enabled=mixed),
        ):
            yield

    return modes


def _taken(numbers: Iterator[int], lock: Lock) -> Iterator[int]:
    """Take numbers that no other thread has, one after the other."""
    while True:
        with lock:
            number = next(numbers, None)
        if number is None:
            return
        yield number


def _exhaust(numbers: Iterator[int], lock: Lock) -> None:
    with lock:
        for _ in numbers:
            pass
