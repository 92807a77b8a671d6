"""Embeddings that are found again: by the same pixels, limits and weights, whoever asks, and never half of one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_segany.engine.cache import CacheNotWrittenWarning, DamagedCacheWarning, LayeredCache
from napari_segany.engine.cache_disk import DiskCache
from napari_segany.engine.cache_entry import CacheEntry
from napari_segany.engine.cache_memory import MemoryCache
from napari_segany.engine.cache_places import CachePlaces, NoPreparedFolderWarning, cache_folder
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.model import PyramidConfig, SamConfig, build_sam

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
OTHER = IMAGE[::-1].copy()


@pytest.fixture(scope="module", params=["plain", "pyramid"])
def sam(request, predictor):
    """A model as the published ones, and one whose embedding has three tensors and the shape of its image."""
    if request.param == "plain":
        return predictor.sam
    torch.manual_seed(0)
    encoder = PyramidConfig(widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), fine_channels=(8, 16))
    return build_sam(SamConfig(image_size=128, encoder=encoder, max_enlargement=1.5))


@pytest.fixture
def counted(monkeypatch):
    """The number of images that were encoded."""
    encoded: list[tuple[int, ...]] = []
    compute = Predictor.compute_steps

    def compute_steps(self, image, **options):
        encoded.append(np.shape(image))
        return compute(self, image, **options)

    monkeypatch.setattr(Predictor, "compute_steps", compute_steps)
    return encoded


def opened(sam, folder, **places) -> Predictor:
    """A predictor of a new session."""
    return Predictor(sam, device="cpu", cache=CachePlaces(folder=folder, **places).open())


def tensors(embedding):
    return embedding.features, *embedding.high_resolution


def test_an_image_that_is_opened_again_is_not_encoded(sam, tmp_path, counted):
    before = opened(sam, tmp_path)
    first = before.encode(IMAGE)
    answer = before.predict(first, points=[(20, 30)])
    assert len(counted) == 1
    after = opened(sam, tmp_path)
    again = after.encode(IMAGE)
    assert len(counted) == 1
    assert (again.image_shape, again.input_shape) == (first.image_shape, first.input_shape)
    assert (again.contrast_limits, again.model_name) == (first.contrast_limits, first.model_name)
    for one, other in zip(tensors(first), tensors(again), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    same = after.predict(again, points=[(20, 30)])
    # the processor may round the last digits otherwise: memory is aligned as it comes
    np.testing.assert_allclose(same.logits, answer.logits, atol=1e-5)
    np.testing.assert_allclose(same.predicted_iou, answer.predicted_iou, atol=1e-6)


def test_it_is_the_embedding_without_a_cache_but_for_half_precision(sam, tmp_path):
    exact = Predictor(sam, device="cpu").encode(IMAGE)
    kept = opened(sam, tmp_path).encode(IMAGE)
    expected = CacheEntry.of(exact)
    assert 0 < expected.rounding.relative < 5e-4
    for one, other in zip(tensors(exact), tensors(kept), strict=True):
        torch.testing.assert_close(one.half().float(), other, rtol=0, atol=0)


def test_other_pixels_limits_parts_and_weights_are_other_embeddings(predictor, tmp_path, counted):
    cached = opened(predictor.sam, tmp_path)
    cached.encode(IMAGE)
    cached.encode(OTHER)
    cached.encode(IMAGE, contrast_limits=(10, 200))
    part = drain(cached.cache.encode_steps(cached, IMAGE, region=(0, 0, 20, 30)))
    assert part.image_shape == (20, 30)
    assert [shape[:2] for shape in counted] == [(40, 60), (40, 60), (40, 60), (20, 30)]
    different = build_sam(predictor.sam.config)
    opened(different, tmp_path).encode(IMAGE)
    assert len(counted) == 5
    cached.encode(IMAGE)
    cached.encode(IMAGE, contrast_limits=(0, 255))
    drain(cached.cache.encode_steps(cached, IMAGE, region=(0, 0, 20, 30)))
    opened(different, tmp_path).encode(IMAGE)
    assert len(counted) == 5
    assert len(DiskCache(tmp_path)) == 5


def test_the_same_weights_under_another_name_find_it(predictor, tmp_path, counted):
    opened(predictor.sam, tmp_path).encode(IMAGE)
    renamed = opened(predictor.sam, tmp_path, memory=10**6)
    renamed.name = "mine"
    for _ in range(2):  # from the disk, then from memory
        embedding = renamed.encode(IMAGE)
        assert embedding.model_name == "mine"
        assert len(renamed.predict(embedding, points=[(5, 5)])) == 3
    assert len(counted) == 1


def test_a_damaged_embedding_is_computed_again_and_said(predictor, tmp_path, counted):
    first = opened(predictor.sam, tmp_path).encode(IMAGE)
    (path,) = tmp_path.glob("*.zarr.zip")
    path.write_bytes(path.read_bytes()[:-100])
    notes = []
    cached = opened(predictor.sam, tmp_path)
    with pytest.warns(DamagedCacheWarning, match=path.name):
        again = drain(cached.encode_steps(IMAGE), lambda step: notes.append(step.note))
    assert "A cached embedding is damaged: computing it again" in notes
    assert len(counted) == 2
    torch.testing.assert_close(again.features, first.features, rtol=0, atol=0)
    opened(predictor.sam, tmp_path).encode(IMAGE)
    assert len(counted) == 2, "the damaged file was replaced"


def test_closing_the_work_keeps_nothing(predictor, tmp_path):
    steps = opened(predictor.sam, tmp_path).encode_steps(IMAGE)
    while next(steps).note != "Computing the image embedding":
        pass
    steps.close()
    assert len(DiskCache(tmp_path)) == 0


def test_a_disk_that_takes_nothing_does_not_stop_the_work(predictor, tmp_path):
    (tmp_path / "file").write_text("in the way")
    cached = opened(predictor.sam, tmp_path / "file")
    with pytest.warns(CacheNotWrittenWarning, match="could not be kept"):
        assert cached.encode(IMAGE).image_shape == (40, 60)


def test_memory_goes_before_the_disk(predictor, tmp_path, counted):
    cache = LayeredCache(memory=MemoryCache(10**7), disk=DiskCache(tmp_path, 10**7))
    cached = Predictor(predictor.sam, device="cpu", cache=cache)
    first = cached.encode(IMAGE)
    for path in tmp_path.glob("*.zarr.zip"):
        path.unlink()
    torch.testing.assert_close(cached.encode(IMAGE).features, first.features, rtol=0, atol=0)
    assert len(counted) == 1


def test_a_prepared_folder_is_read_and_not_written(predictor, tmp_path, counted):
    opened(predictor.sam, tmp_path / "prepared").encode(IMAGE)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "prepared").iterdir()}
    cached = opened(predictor.sam, tmp_path / "own", prepared=tmp_path / "prepared")
    cached.encode(IMAGE)
    assert len(counted) == 1
    assert not (tmp_path / "own").exists()
    cached.encode(OTHER)
    assert len(counted) == 2
    assert len(DiskCache(tmp_path / "own")) == 1
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "prepared").iterdir()} == before


def test_a_prepared_folder_that_is_not_there_is_said(predictor, tmp_path):
    with pytest.warns(NoPreparedFolderWarning, match="elsewhere"):
        cache = CachePlaces(folder=tmp_path, prepared=tmp_path / "elsewhere").open()
    assert cache.prepared is None


def test_without_any_place_there_is_no_cache(tmp_path):
    assert CachePlaces(folder=tmp_path, limit=0).open() is None


def test_the_folder_is_the_choice_else_the_variable_else_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGANY_CACHE", str(tmp_path))
    assert cache_folder() == cache_folder("") == tmp_path
    assert cache_folder(tmp_path / "mine") == tmp_path / "mine"
    monkeypatch.delenv("SEGANY_CACHE")
    assert cache_folder().parts[-2:] == ("napari-segany", "embeddings")


def test_what_is_kept_can_be_asked_for_without_encoding(sam, tmp_path, counted):
    cached = opened(sam, tmp_path)
    assert drain(cached.known_steps(IMAGE)) is None
    assert counted == []
    first = cached.encode(IMAGE)
    again = drain(opened(sam, tmp_path).known_steps(IMAGE))
    for one, other in zip(tensors(first), tensors(again), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert drain(cached.known_steps(OTHER)) is None
    assert drain(cached.known_steps(IMAGE, contrast_limits=(3, 200))) is None
    assert drain(Predictor(sam, device="cpu").known_steps(IMAGE)) is None
    assert len(counted) == 1


def test_a_damaged_one_counts_as_not_kept_until_it_is_encoded(predictor, tmp_path):
    opened(predictor.sam, tmp_path).encode(IMAGE)
    (path,) = tmp_path.glob("*.zarr.zip")
    path.write_bytes(path.read_bytes()[:-100])
    cached = opened(predictor.sam, tmp_path)
    assert drain(cached.known_steps(IMAGE)) is None
    with pytest.warns(DamagedCacheWarning, match=path.name):
        cached.encode(IMAGE)
    assert drain(cached.known_steps(IMAGE)) is not None


@pytest.mark.filterwarnings("ignore::napari_segany.engine.precision.PrecisionWarning")
@pytest.mark.parametrize(("gain", "own"), [(0.2, "float32"), (8.0, "bfloat16")])
def test_auto_takes_what_is_there_in_either_precision_and_others_what_they_ask_for(
    predictor, tmp_path, counted, monkeypatch, gain, own
):
    """So that a folder which a fast computer made serves a slow one, and one made before serves a fast one."""
    monkeypatch.setattr("napari_segany.engine.precision.bfloat16_gain", lambda device: gain)

    def asked(precision, **places):
        cache = CachePlaces(folder=tmp_path, **places).open()
        return Predictor(predictor.sam, device="cpu", cache=cache, precision=precision)

    for place in ({}, {"limit": 0, "prepared": tmp_path}, {"memory": 10**7}):
        for precision in ("float32", "bfloat16"):
            for kept in tmp_path.glob("*.zip"):
                kept.unlink()
            made = asked(precision).encode(IMAGE)
            before = len(counted)
            auto = asked("auto", **place)
            assert auto.precision == own
            for _ in range(2):
                found = auto.encode(IMAGE)
                assert (found.precision, len(counted)) == (precision, before)
                torch.testing.assert_close(found.features, made.features, rtol=0, atol=0)
            other = "float32" if precision == "bfloat16" else "bfloat16"
            assert asked(other, **place).encode(IMAGE).precision == other
            assert len(counted) == before + 1
            if not place:
                assert auto.encode(IMAGE).precision == own, "both are there"
