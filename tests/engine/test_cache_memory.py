from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_segany.engine.cache_memory import MemoryCache


@dataclass(frozen=True)
class Value:
    nbytes: int


@given(
    limit=st.integers(0, 20),
    steps=st.lists(st.tuples(st.sampled_from(["put", "get"]), st.integers(0, 5), st.integers(0, 9)), max_size=30),
)
def test_it_keeps_the_longest_tail_of_last_uses_that_fits(limit, steps):
    cache: MemoryCache[int, Value] = MemoryCache(limit)
    model: list[tuple[int, int]] = []  # (key, bytes) in the order of last use
    for action, key, size in steps:
        before = dict(model)
        if action == "put":
            model = [(other, nbytes) for other, nbytes in model if other != key] + [(key, size)]
            cache.put(key, Value(size))
            while len(model) > 1 and sum(nbytes for _, nbytes in model) > limit:
                model.pop(0)
        else:
            found = cache.get(key)
            assert (found.nbytes if found else None) == before.get(key)
            if key in before:
                model = [(other, nbytes) for other, nbytes in model if other != key] + [(key, before[key])]
        assert {key for key in range(6) if key in cache} == {key for key, _ in model}
        assert (len(cache), cache.nbytes) == (len(model), sum(nbytes for _, nbytes in model))


def test_unwanted_ones_go_and_the_rest_stays():
    cache: MemoryCache[int, Value] = MemoryCache(100)
    for key in range(4):
        cache.put(key, Value(key))
    cache.drop_where(lambda key: key % 2 == 0)
    assert [key for key in range(4) if key in cache] == [1, 3]
    assert cache.nbytes == 4
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)


def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="-1 bytes"):
        MemoryCache(-1)
