"""SAM as tensors: encoders, prompt encoder, mask decoder, checkpoints. Knows no images and no files but weights."""

from __future__ import annotations

from napari_segany.model.checkpoint import build_sam, load_sam, save_sam
from napari_segany.model.config import PyramidConfig, SamConfig, TinyViTConfig, ViTConfig
from napari_segany.model.features import ImageFeatures
from napari_segany.model.image_decoder import ImageDecoder
from napari_segany.model.recognition import recognise
from napari_segany.model.sam import Sam
from napari_segany.model.state_file import CheckpointError

__all__ = [
    "CheckpointError",
    "ImageDecoder",
    "ImageFeatures",
    "PyramidConfig",
    "Sam",
    "SamConfig",
    "TinyViTConfig",
    "ViTConfig",
    "build_sam",
    "load_sam",
    "recognise",
    "save_sam",
]
