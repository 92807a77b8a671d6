"""The folder of cached embeddings: room, several processes, and what a killed one leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from napari_segany.engine import cache_disk as module
from napari_segany.engine.cache_disk import CacheBusyError, DiskCache
from napari_segany.engine.cache_entry import CacheEntry, DamagedEntryError
from napari_segany.engine.cache_key import CacheKey
from napari_segany.engine.embedding import ImageEmbedding

WRITER = """
import sys
import numpy as np, torch
from pathlib import Path
from napari_segany.engine.cache_disk import DiskCache
from napari_segany.engine.cache_entry import CacheEntry
from napari_segany.engine.cache_key import CacheKey
from napari_segany.engine.embedding import ImageEmbedding

folder, limit, first, last, value = Path(sys.argv[1]), *map(int, sys.argv[2:])
cache = DiskCache(folder, limit or None)
print("ready", flush=True)
sys.stdin.readline()
for number in range(first, last):
    features = torch.full((1, 4, 8, 8), float(number))
    entry = CacheEntry.of(ImageEmbedding(features, (), (8, 8), (8, 8), (0.0, 1.0), f"writer {value}"))
    cache.put(CacheKey(f"{number:032x}", (0.0, 1.0), None, "model"), entry)
    print(number, flush=True)
"""


def key(number: int) -> CacheKey:
    return CacheKey(f"{number:032x}", (0.0, 1.0), None, "model")


def entry(number: int, side: int = 8) -> CacheEntry:
    features = torch.full((1, 4, side, side), float(number))
    return CacheEntry.of(ImageEmbedding(features, (), (8, 8), (8, 8), (0.0, 1.0), "small"))


def there(cache: DiskCache, count: int = 10) -> list[int]:
    return [number for number in range(count) if cache.path(key(number)).exists()]


def used_at(cache: DiskCache, number: int, seconds: int) -> None:
    os.utime(cache.path(key(number)), (seconds, seconds))


def size_of_one(tmp_path: Path) -> int:
    cache = DiskCache(tmp_path / "one")
    cache.put(key(0), entry(0))
    return cache.nbytes


def test_the_ones_not_used_for_longest_make_room(tmp_path):
    one = size_of_one(tmp_path)
    cache = DiskCache(tmp_path / "cache", 3 * one)
    for number in range(3):
        assert cache.put(key(number), entry(number))
        used_at(cache, number, 1000 + number)
    assert cache.get(key(0)) is not None, "which makes it the one used last"
    cache.put(key(3), entry(3))
    assert there(cache) == [0, 2, 3]
    assert cache.nbytes <= 3 * one
    assert len(cache) == 3
    larger = entry(4, side=16)
    cache.put(key(4), larger)
    assert 4 in there(cache)
    assert cache.nbytes <= 3 * one


def test_what_can_never_fit_is_not_kept(tmp_path):
    cache = DiskCache(tmp_path, 3000)
    cache.put(key(0), entry(0))
    assert not cache.put(key(1), entry(1, side=64))
    assert there(cache) == [0]


def test_other_files_are_neither_counted_nor_removed(tmp_path):
    one = size_of_one(tmp_path)
    cache = DiskCache(tmp_path / "cache", one)
    cache.folder.mkdir()
    mine = [cache.folder / name for name in ("thesis.tif", "a.zarr.zip", f".{'0' * 32}.zarr-draft.zip")]
    for path in mine:
        path.write_bytes(b"x" * 10 * one)
        os.utime(path, (1, 1))
    for number in range(3):
        cache.put(key(number), entry(number))
    assert all(path.stat().st_size == 10 * one for path in mine)
    assert there(cache) == [2]


def test_a_portable_folder_is_only_read_by_a_cache_with_a_limit(tmp_path):
    DiskCache(tmp_path).put(key(0), entry(0))
    (tmp_path / "manifest.json").write_text("{}")
    cache = DiskCache(tmp_path, 10_000)
    assert not cache.put(key(1), entry(1))
    assert there(cache) == [0]
    assert cache.get(key(0)) is not None


def test_a_folder_for_reading_only_serves(tmp_path, monkeypatch):
    cache = DiskCache(tmp_path, 10_000)
    cache.put(key(0), entry(0))

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "utime", refuse)
    assert cache.get(key(0)) is not None


def test_damage_is_told_from_absence_and_healed_by_the_next_writer(tmp_path):
    cache = DiskCache(tmp_path)
    assert cache.get(key(0)) is None
    cache.put(key(0), entry(0))
    content = bytearray(cache.path(key(0)).read_bytes())
    content[len(content) // 2] ^= 255
    cache.path(key(0)).write_bytes(content)
    with pytest.raises(DamagedEntryError):
        cache.get(key(0))
    cache.put(key(0), entry(0))
    assert float(cache.get(key(0)).arrays["features"].max()) == 0


def started(folder: Path, limit: int, first: int, last: int, value: int) -> subprocess.Popen:
    line = [sys.executable, "-c", WRITER, *map(str, (folder, limit, first, last, value))]
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once(tmp_path):
    """Both write the same and different embeddings, and make room for their own, while a third one reads."""
    limit = 12 * size_of_one(tmp_path)
    folder = tmp_path / "cache"
    reader = DiskCache(folder)
    with started(folder, limit, 0, 30, 1) as one, started(folder, limit, 10, 40, 2) as two:
        for process in (one, two):
            assert process.stdout.readline() == "ready\n"
        for process in (one, two):
            process.stdin.write("go\n")
            process.stdin.flush()
        while one.poll() is None or two.poll() is None:
            for number in range(40):
                found = reader.get(key(number))  # raises if it ever sees half a file
                assert found is None or (found.arrays["features"] == number).all()
    assert (one.returncode, two.returncode) == (0, 0)
    assert 0 < reader.nbytes <= limit
    assert {path.name for path in folder.iterdir()} - {".lock"} == {
        reader.path(key(number)).name for number in there(reader, 40)
    }
    for number in there(reader, 40):
        np.testing.assert_array_equal(reader.get(key(number)).arrays["features"], np.full((1, 4, 8, 8), number, "f2"))


def test_a_killed_writer_leaves_nothing_that_is_read(tmp_path, monkeypatch):
    """It is stopped in the middle of a file, with the lock in its hands."""
    code = WRITER.replace(
        "cache = DiskCache",
        "import os, zarr\n"
        "def die(*args, **kwargs):\n"
        "    print(sorted(os.listdir(folder)), flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "zarr.Group.create_array = die\n"
        "cache = DiskCache",
    )
    line = [sys.executable, "-c", code, str(tmp_path), "0", "0", "1", "1"]
    done = subprocess.run(line, input="go\n", capture_output=True, text=True, check=False)
    assert done.returncode != 0
    left = [name for name in os.listdir(tmp_path) if name.endswith(".zip")]
    assert len(left) == 1, done
    assert left[0].startswith(f".{key(0).digest}")
    cache = DiskCache(tmp_path, 100_000)
    assert cache.get(key(0)) is None
    assert (len(cache), cache.nbytes) == (0, 0)
    monkeypatch.setattr(module, "_LOCK_SECONDS", 5)
    cache.put(key(1), entry(1))
    assert {name for name in os.listdir(tmp_path) if name.endswith(".zip")} == {cache.path(key(1)).name}


def test_a_lock_that_is_never_free_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.05)
    with FileLock(tmp_path / ".lock"), pytest.raises(CacheBusyError, match="another program"):
        DiskCache(tmp_path).put(key(0), entry(0))
    assert DiskCache(tmp_path).put(replace(key(0)), entry(0))
