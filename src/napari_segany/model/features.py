"""What an image encoder hands to the mask decoder, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """What the image encoder made of B images.

    Attributes
    ----------
    embedding : Tensor
        (B, 256, h, w), the image embedding, at stride 16.
    high_resolution : tuple of Tensor
        Empty for the published models, else (B, C0, 4h, 4w) at stride 4 and (B, C1, 2h, 2w) at stride 8.
    """

    embedding: Tensor
    high_resolution: tuple[Tensor, ...] = ()
