"""The image embedding as a value: what the encoder made of one image, with what is needed to ask it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from napari_segany.engine.precision_names import FLOAT32


@dataclass(frozen=True, eq=False)
class ImageEmbedding:
    """Features of one image, to be passed to `Predictor.predict`.

    Attributes
    ----------
    features : torch.Tensor
        (1, 256, h, w) float32, the image embedding, on the predictor's device.
    high_resolution : tuple of torch.Tensor
        Features at strides 4 and 8 for models that use them; empty for the published models.
    image_shape : tuple of int
        (H, W) of the image, in pixels.
    input_shape : tuple of int
        (rows, cols) of the image resized to the model's input, without padding.
    contrast_limits : tuple of float
        Intensities that became 0 and 255.
    model_name : str
        Name of the model that made it; another model refuses it.
    precision : str
        In which the large products of the encoder were computed: "float32" or "bfloat16".
    rounding_error : float
        What keeping it in half precision took from it, relative; 0 for one that was not kept so. See
        `engine.cache_entry.Rounding`.
    """

    features: torch.Tensor
    high_resolution: tuple[torch.Tensor, ...]
    image_shape: tuple[int, int]
    input_shape: tuple[int, int]
    contrast_limits: tuple[float, float]
    model_name: str
    precision: str = FLOAT32
    rounding_error: float = 0.0

    @property
    def logits_shape(self) -> tuple[int, int]:
        """(h, w) of the low-resolution logits: a quarter of the padded model input."""
        return 4 * self.features.shape[2], 4 * self.features.shape[3]

    @property
    def nbytes(self) -> int:
        """Memory held by the features, in bytes."""
        return sum(tensor.nbytes for tensor in (self.features, *self.high_resolution))

    def to(self, device: torch.device | str) -> ImageEmbedding:
        """Return it with its tensors on a device."""
        high_resolution = tuple(tensor.to(device) for tensor in self.high_resolution)
        return replace(self, features=self.features.to(device), high_resolution=high_resolution)
