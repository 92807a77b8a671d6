from __future__ import annotations

import json
import random
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr

from napari_segany.engine.cache_entry import CacheEntry, DamagedEntryError, read_entry, write_entry
from napari_segany.engine.cache_key import CacheKey
from napari_segany.engine.embedding import ImageEmbedding

KEY = CacheKey("a" * 32, (1.5, 2000.25), (0, 0, 30, 40), "b" * 32)


def embedding(*tensors: torch.Tensor) -> ImageEmbedding:
    return ImageEmbedding(tensors[0], tensors[1:], (30, 40), (48, 64), (1.5, 2000.25), "small")


def random_embedding() -> ImageEmbedding:
    """As that of a model with features at three strides."""
    torch.manual_seed(0)
    return embedding(torch.randn(1, 8, 3, 4), torch.randn(1, 2, 12, 16), torch.randn(1, 4, 6, 8))


def test_what_is_written_is_read(tmp_path):
    entry = CacheEntry.of(random_embedding())
    write_entry(tmp_path / "a.zarr.zip", KEY, entry)
    again = read_entry(tmp_path / "a.zarr.zip", KEY)
    assert list(again.arrays) == ["features", "high_resolution_0", "high_resolution_1"]
    for name, array in entry.arrays.items():
        assert again.arrays[name].dtype == np.float16
        np.testing.assert_array_equal(again.arrays[name], array)
    assert (again.image_shape, again.input_shape) == ((30, 40), (48, 64))
    assert (again.contrast_limits, again.model_name) == ((1.5, 2000.25), "small")
    assert again.rounding == entry.rounding
    got, given = again.embedding(), random_embedding()
    for kept, exact in zip(
        (got.features, *got.high_resolution), (given.features, *given.high_resolution), strict=True
    ):
        assert kept.dtype == torch.float32
        torch.testing.assert_close(kept, exact.half().float(), rtol=0, atol=0)


def test_zarr_and_any_unzip_program_can_read_it(tmp_path):
    write_entry(tmp_path / "a.zarr.zip", KEY, CacheEntry.of(random_embedding()))
    with zarr.storage.ZipStore(tmp_path / "a.zarr.zip", mode="r") as store:
        features = zarr.open_array(store, path="features", mode="r")
        assert features.metadata.zarr_format == 3
        assert features.metadata.dimension_names == ("batch", "channel", "row", "column")
    with zipfile.ZipFile(tmp_path / "a.zarr.zip") as archive:
        codecs = [codec["name"] for codec in json.loads(archive.read("features/zarr.json"))["codecs"]]
        raw = archive.read("features/c/0/0/0/0")
    assert codecs == ["bytes", "crc32c"]
    expected = random_embedding().features.half().numpy()
    np.testing.assert_array_equal(np.frombuffer(raw[:-4], "<f2").reshape(expected.shape), expected)


def test_the_error_of_half_precision_is_told():
    # Above 2048 half precision has even integers only: 2049 becomes 2048.
    entry = CacheEntry.of(embedding(torch.tensor([2049.0, 0.0, -1024.0, 0.0]).reshape(1, 1, 2, 2)))
    assert entry.dtype == "float16"
    assert entry.rounding.relative == pytest.approx(1 / (2049**2 + 1024**2) ** 0.5)
    assert entry.rounding.largest == pytest.approx(1 / 2049)
    exact = CacheEntry.of(embedding(torch.tensor([0.5, 3.0]).reshape(1, 1, 1, 2)))
    assert (exact.rounding.relative, exact.rounding.largest) == (0, 0)


@pytest.mark.parametrize("values", [[1e5, 1.0], [1e-8, 2e-8], [float("nan"), 1.0]], ids=["large", "small", "nan"])
def test_what_half_precision_cannot_hold_stays_as_it_is(values, tmp_path):
    tensor = torch.tensor(values).reshape(1, 1, 1, 2)
    entry = CacheEntry.of(embedding(tensor, torch.ones(1, 1, 1, 1)))
    assert entry.dtype == "float32"
    assert entry.arrays["high_resolution_0"].dtype == np.float16, "each tensor by itself"
    assert entry.rounding.relative == 0
    write_entry(tmp_path / "a.zarr.zip", KEY, entry)
    read = read_entry(tmp_path / "a.zarr.zip", KEY).embedding().features
    torch.testing.assert_close(read, tensor, rtol=0, atol=0, equal_nan=True)


def test_damage_anywhere_is_noticed_or_harmless(tmp_path):
    """Bytes changed or cut off at random places: the file is refused, or gives exactly what was written."""
    entry = CacheEntry.of(random_embedding())
    path = tmp_path / "a.zarr.zip"
    write_entry(path, KEY, entry)
    whole = path.read_bytes()
    dice = random.Random(0)
    places = [
        *range(0, 60, 3),
        *(dice.randrange(len(whole)) for _ in range(150)),
        *range(len(whole) - 22, len(whole)),
    ]
    refused = 0
    for number, place in enumerate(places):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << dice.randrange(8)
        path.write_bytes(whole[:place] if number % 5 == 0 else damaged)
        try:
            got = read_entry(path, KEY)
        except DamagedEntryError:
            refused += 1
            continue
        assert got.arrays.keys() == entry.arrays.keys()
        assert all(np.array_equal(got.arrays[name], entry.arrays[name]) for name in entry.arrays), place
        assert (got.contrast_limits, got.model_name, got.rounding) == (
            entry.contrast_limits,
            entry.model_name,
            entry.rounding,
        )
    assert refused > len(places) / 2


def test_an_entry_of_another_key_is_no_answer(tmp_path):
    path = tmp_path / "a.zarr.zip"
    write_entry(path, KEY, CacheEntry.of(random_embedding()))
    with pytest.raises(DamagedEntryError, match=r"a\.zarr\.zip is damaged \(it belongs to another image"):
        read_entry(path, replace(KEY, region=None))


def test_a_chunk_that_is_missing_does_not_become_zeros(tmp_path):
    whole, path = tmp_path / "whole.zip", tmp_path / "a.zarr.zip"
    write_entry(whole, KEY, CacheEntry.of(random_embedding()))
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if name != "features/c/0/0/0/0":
                target.writestr(name, source.read(name))
    with pytest.raises(DamagedEntryError, match="missing"):
        read_entry(path, KEY)


def test_a_file_that_is_not_there_is_not_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_entry(tmp_path / "none.zarr.zip", KEY)
