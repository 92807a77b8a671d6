"""What to set for teaching a trained model a user's own images, when nobody says otherwise. Knows no data.

Chosen so that a large model fits 24 GB of memory without a graphics card: its encoder is frozen and sees each image
`variants` times in all, and prompts meet its embeddings one image at a time. A small model learns as a whole.
"""

from __future__ import annotations

from dataclasses import replace

from napari_segany.model import SamConfig, ViTConfig
from napari_segany.training.config import TrainingConfig
from napari_segany.training.network import preset_name

_BOTH = TrainingConfig(
    steps=300,
    warmup_steps=20,
    schedule="cosine",
    final_rate=0.05,
    ema_decay=0.98,
    procedural_share=0.0,
    validation_share=0.2,
    validation_images=10,
    validate_every=50,
    checkpoint_every=50,
    picture_every=50,
    precision="auto",
)
_LARGE = replace(
    _BOTH,
    batch_size=2,
    accumulation=2,
    masks_per_image=6,
    rounds=3,
    loss_stride=4,
    learning_rate=1e-4,
    scale_jitter=(0.8, 1.25),
)
_SMALL = replace(
    _BOTH,
    batch_size=4,
    masks_per_image=12,
    rounds=2,
    focal_weight=4.0,
    learning_rate=3e-4,
    scale_jitter=(0.7, 1.4),
)
_SMALL_CROP = 256
_VARIANTS = 4


def fine_tuning_config(shape: SamConfig, trainable: str | None = None) -> TrainingConfig:
    """Return the knobs for a model; docs/training.md has them with their reasons.

    Parameters
    ----------
    shape : SamConfig
        The model.
    trainable : str, optional
        What learns, where it is not left to the size of the model.
    """
    large = isinstance(shape.encoder, ViTConfig)
    trainable = trainable or ("decoder" if large else "all")
    return replace(
        _LARGE if large else _SMALL,
        model=preset_name(shape),
        # Positions of a plain ViT belong to the whole input: it is not shown crops.
        crop_size=shape.image_size if large else min(_SMALL_CROP, shape.image_size),
        trainable=trainable,
        variants=_VARIANTS if trainable == "decoder" else 0,
    )
