"""What was used last, in memory, up to a number of bytes. Knows neither torch nor files."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that knows how many bytes it holds."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value", bound=Sized)


class MemoryCache(Generic[Key, Value]):
    """Keeps the values used last; the newest one always, whatever its size. May be used from any thread.

    Parameters
    ----------
    limit : int
        Bytes to keep.

    Raises
    ------
    ValueError
        For a limit below 0.
    """

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise ValueError(f"the limit of the embedding cache is {limit} bytes; give 0 or more")
        self.limit = limit
        self._kept: OrderedDict[Key, Value] = OrderedDict()
        self._nbytes = 0
        self._lock = threading.Lock()

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._nbytes

    def get(self, key: Key) -> Value | None:
        """Return a value, which thereby becomes the one used last, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Keep a value and drop those not used for longest that no longer fit."""
        self.put_if(key, value, lambda: True)

    def put_if(self, key: Key, value: Value, is_wanted: Callable[[], bool]) -> None:
        """Keep a value if it is wanted at that very moment: nothing is dropped in between."""
        with self._lock:
            if not is_wanted():
                return
            self._drop(key)
            self._kept[key] = value
            self._nbytes += value.nbytes
            while len(self._kept) > 1 and self._nbytes > self.limit:
                self._drop(next(iter(self._kept)))

    def drop_where(self, unwanted: Callable[[Key], bool]) -> None:
        """Drop the values whose keys are unwanted."""
        with self._lock:
            for key in [key for key in self._kept if unwanted(key)]:
                self._drop(key)

    def clear(self) -> None:
        """Drop everything."""
        self.drop_where(lambda _: True)

    def _drop(self, key: Key) -> None:
        dropped = self._kept.pop(key, None)
        self._nbytes -= 0 if dropped is None else dropped.nbytes
