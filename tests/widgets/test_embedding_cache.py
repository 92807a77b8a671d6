from __future__ import annotations

from types import SimpleNamespace

import pytest

from napari_segany.widgets.embedding_cache import EmbeddingCache, EmbeddingKey
from napari_segany.widgets.geometry import Plane


def key(index: int, image: str = "a", limits=(0.0, 1.0)) -> EmbeddingKey:
    return EmbeddingKey(image, Plane((1, 2), (index,)), limits, "light", "cpu")


def embedding(nbytes: int = 10) -> SimpleNamespace:
    return SimpleNamespace(nbytes=nbytes)


def test_the_one_not_used_for_longest_goes_first():
    cache = EmbeddingCache(30)
    for index in range(3):
        cache.put(key(index), embedding())
    cache.get(key(0))
    cache.put(key(3), embedding())
    assert [index for index in range(4) if key(index) in cache] == [0, 2, 3]
    assert cache.nbytes == 30


def test_the_newest_is_kept_whatever_its_size():
    cache = EmbeddingCache(5)
    cache.put(key(0), embedding(100))
    assert key(0) in cache
    cache.put(key(1), embedding(100))
    assert len(cache) == 1
    assert key(1) in cache


def test_other_contrast_is_another_embedding():
    cache = EmbeddingCache(100)
    cache.put(key(0), embedding())
    assert cache.get(key(0, limits=(0.0, 2.0))) is None


def test_forgetting_an_image_leaves_the_others():
    cache = EmbeddingCache(100)
    cache.put(key(0), embedding())
    cache.put(key(0, image="b"), embedding())
    cache.forget_image("a")
    assert len(cache) == 1
    assert key(0, image="b") in cache
    cache.clear()
    assert cache.nbytes == 0


def test_what_is_ready_after_its_image_was_forgotten_is_not_kept():
    cache = EmbeddingCache(100)
    old, other = cache.keeper("a"), cache.keeper("b")
    cache.forget_image("a")
    new = cache.keeper("a")
    old(key(0), embedding())
    assert key(0) not in cache
    new(key(1), embedding())
    other(key(0, image="b"), embedding())
    assert key(1) in cache
    assert key(0, image="b") in cache


def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="-1 bytes"):
        EmbeddingCache(-1)
