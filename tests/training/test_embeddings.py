"""Embeddings that are kept: the same gradients as computed ones, wherever they were kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_segany.model import ImageFeatures, Sam, SamConfig, build_sam
from napari_segany.training.config import TrainingConfig
from napari_segany.training.data import CropSource
from napari_segany.training.embeddings import EmbeddingStore, encoder_stamp
from napari_segany.training.gradients import accumulate_gradients
from napari_segany.training.network import start_network
from napari_segany.training.scene import Crop

IMAGE = np.arange(4 * 4 * 3, dtype=np.float32).reshape(4, 4, 3)


def made(value: float, calls: list[float] | None = None) -> ImageFeatures:
    if calls is not None:
        calls.append(value)
    return ImageFeatures(torch.full((1, 2, 3, 3), value), (torch.full((1, 1, 6, 6), -value),))


def frozen(shape: SamConfig) -> Sam:
    torch.manual_seed(0)
    sam = build_sam(shape)
    sam.image_encoder.requires_grad_(False)
    return sam


def gradients(
    sam: Sam, crops: list[Crop], config: TrainingConfig, store: EmbeddingStore | None
) -> dict[str, torch.Tensor]:
    sam.zero_grad()
    accumulate_gradients(sam, crops, config, torch.Generator().manual_seed(0), store)
    return {name: p.grad.clone() for name, p in sam.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("fixture", ["tiny_shape", "pyramid_shape"])
def test_kept_embeddings_give_the_gradients_of_computed_ones(
    fixture: str, tiny_training: TrainingConfig, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shape = request.getfixturevalue(fixture)
    config = replace(tiny_training, trainable="decoder", rounds=2)
    sam = frozen(shape)
    source = CropSource([], config, shape)
    crops = [replace(source[i], recurs=True) for i in range(3)]
    computed = gradients(sam, crops, config, None)
    store = EmbeddingStore(tmp_path / "kept", 10**9, encoder_stamp(sam, "float32"))
    first = gradients(sam, crops, config, store)
    again = gradients(sam, crops, config, store)
    assert not any(name.startswith("image_encoder.") for name in computed)
    assert first.keys() == again.keys() == computed.keys()
    for name, gradient in computed.items():
        assert torch.equal(first[name], again[name])
        # Half precision is what is between them.
        scale = float(gradient.abs().max())
        torch.testing.assert_close(first[name], gradient, rtol=0.05, atol=0.05 * scale + 1e-6)
    # On the disk and in memory are the same.
    on_disk = EmbeddingStore(tmp_path / "files", 0, encoder_stamp(sam, "float32"))
    for _ in range(2):
        from_files = gradients(sam, crops, config, on_disk)
        assert all(torch.equal(from_files[name], gradient) for name, gradient in first.items())
    assert len(list((tmp_path / "files").iterdir())) == 3
    assert not (tmp_path / "kept").exists()


def test_an_image_is_encoded_once(tmp_path: Path) -> None:
    calls: list[float] = []
    for budget in (10**6, 0):
        store = EmbeddingStore(tmp_path, budget, "a")
        for _ in range(3):
            features = store.features(IMAGE, lambda: made(1.0, calls))
            assert features.embedding.unique().tolist() == [1]
            assert features.high_resolution[0].unique().tolist() == [-1]
        store.features(IMAGE + 1, lambda: made(2.0, calls))
    assert calls == [1, 2, 1, 2]


def test_the_memory_is_used_up_before_the_disk_is(tmp_path: Path) -> None:
    size = 2 * (2 * 9 + 36)  # bytes of one set of features in half precision
    store = EmbeddingStore(tmp_path / "files", 2 * size, "a")
    for number in range(5):
        store.features(IMAGE + number, lambda number=number: made(float(number)))
    assert len(list((tmp_path / "files").iterdir())) == 3
    store.remove_files()
    assert not (tmp_path / "files").exists()


def test_another_encoder_finds_nothing_and_a_damaged_file_is_made_anew(tmp_path: Path, tiny_shape: SamConfig) -> None:
    EmbeddingStore(tmp_path, 0, "a").features(IMAGE, lambda: made(1.0))
    other = EmbeddingStore(tmp_path, 0, "b").features(IMAGE, lambda: made(2.0))
    assert other.embedding.unique().tolist() == [2]
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:50])
    again = EmbeddingStore(tmp_path, 0, "a")
    for _ in range(2):
        assert again.features(IMAGE, lambda: made(3.0)).embedding.unique().tolist() == [3]
    sam = frozen(tiny_shape)
    before = encoder_stamp(sam, "float32")
    assert before != encoder_stamp(sam, "bfloat16")
    with torch.no_grad():
        next(sam.mask_decoder.parameters()).add_(1)
    assert encoder_stamp(sam, "float32") == before
    with torch.no_grad():
        next(sam.image_encoder.parameters()).add_(1)
    assert encoder_stamp(sam, "float32") != before


def test_what_half_precision_cannot_hold_is_kept_in_full(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, 10**6, "a")
    assert store.features(IMAGE, lambda: made(1e6)).embedding.unique().tolist() == [1e6]


def test_variants_are_few_and_their_objects_many(tiny_training: TrainingConfig, tiny_shape: SamConfig) -> None:
    config = replace(tiny_training, trainable="decoder", variants=2, procedural_share=0.0, masks_per_image=1)
    source = CropSource([TwoSquares()], config, tiny_shape)
    crops = [source[i] for i in range(24)]
    assert all(crop.recurs for crop in crops)
    assert len({crop.image.tobytes() for crop in crops}) == 2
    assert len({(crop.image.tobytes(), crop.masks.tobytes()) for crop in crops}) == 4
    # One of them is what inference would see: enlarged from 32 to 64 px, not turned, its light as it is.
    image, _ = TwoSquares().read()
    plain = [crop for crop in crops if np.array_equal(crop.image[:, :, 0][16, ::2] > 100, image[8] > 100)]
    assert plain
    assert plain[0].image.max() == image.max()


def test_adapters_and_variants_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="variants is 2; it must be 0, unless trainable is 'decoder'"):
        TrainingConfig(trainable="lora", variants=2)


def test_a_frozen_encoder_holds_no_gradients(tiny_weights: Path, tiny_training: TrainingConfig) -> None:
    sam = start_network(replace(tiny_training, trainable="decoder"), tiny_weights)
    features = sam.encode(torch.zeros(1, 3, 64, 64))
    assert not features.embedding.requires_grad
    assert not any(tensor.requires_grad for tensor in features.high_resolution)


class TwoSquares:
    """A dark image with two bright squares."""

    dataset, name, metadata = "drawn", "squares", {}

    def read(self) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        labels = np.zeros((32, 32), np.int32)
        labels[4:14, 3:15], labels[18:30, 10:28] = 1, 2
        return (60 + 100 * (labels > 0)).astype(np.uint8), (labels,)
