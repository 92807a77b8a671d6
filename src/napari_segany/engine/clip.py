"""CLIP: words and pictures as vectors of one space. Knows no masks of an image and no user interface.

Radford et al. 2021 (arXiv:2103.00020), by the library transformers, which the extra `text` brings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_segany.engine.text_query import DEFAULT_CLIP, download_size

_OBJECTS_AT_A_TIME = 32

_PUBLIC_NAME = re.compile(r"[\w.-]+/[\w.-]+")

Vectors = NDArray[np.float32]


class TextModelError(ValueError):
    """CLIP cannot be used; the message says why and what to do."""


class NotHereError(TextModelError):
    """A public CLIP is not on this computer yet, and nobody has asked for it to be fetched.

    Parameters
    ----------
    model : str
        Its name.
    ask : str
        How a user asks for it.
    """

    def __init__(self, model: str, ask: str = "ask for it to be fetched") -> None:
        self.model = model
        super().__init__(
            f"the CLIP model {model!r} is not on this computer yet; {ask} once ({download_size(model)}), or give a "
            f"folder that holds one: `hf download {model} --local-dir clip` makes it where there is a network"
        )


class PictureEncoder(Protocol):
    """What turns words and whole pictures into vectors of one space, as CLIP does."""

    @property
    def temperature(self) -> float:
        """The factor of similarities before they become probabilities."""

    def words(self, texts: Sequence[str]) -> Vectors:
        """Return (N, D) vectors of length 1 of N texts."""

    def pictures(self, pictures: Sequence[NDArray[np.uint8]]) -> Vectors:
        """Return (N, D) vectors of length 1 of N pictures (H, W, 3) of eight bits, each of any size."""


class ObjectEncoder(Protocol):
    """What turns objects in their surroundings into vectors, and words into vectors of the same space."""

    @property
    def width(self) -> int:
        """Numbers of a vector, D."""

    @property
    def picture_size(self) -> int:
        """Side S of the pictures that it takes, in pixels."""

    def words(self, texts: Sequence[str]) -> Vectors:
        """Return (N, D) vectors of length 1 of N texts."""

    def objects(self, pictures: NDArray[np.uint8], inside: NDArray[np.bool_]) -> Vectors:
        """Return (N, D) vectors of length 1 of the objects `inside` (N, S, S) in pictures (N, S, S, 3)."""


class Clip:
    """A CLIP that turns words and pictures into vectors of one space.

    Parameters
    ----------
    model : str
        A folder, or the name of a public model, which is fetched once.
    device : torch.device or str
        Where it computes.
    fetch : bool
        Whether a public model that is not on this computer may be fetched: only where the user has asked for it.

    Raises
    ------
    TextModelError
        Where transformers is not installed, or the model is neither here nor can be fetched.
    NotHereError
        For a public model that is not on this computer and may not be fetched.
    """

    def __init__(self, model: str = DEFAULT_CLIP, device: torch.device | str = "cpu", *, fetch: bool = False) -> None:
        try:
            from transformers import AutoTokenizer, CLIPModel
            from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
        except ImportError as error:
            raise TextModelError(
                'words need the library transformers; `pip install "napari-segany[text]"` brings it'
            ) from error
        try:
            self._clip: Any = CLIPModel.from_pretrained(model, local_files_only=not fetch).eval().to(device)
            self._tokens: Any = AutoTokenizer.from_pretrained(model, local_files_only=not fetch)
            self._pixels: Any = CLIPImageProcessorPil.from_pretrained(model, local_files_only=not fetch)
        except (OSError, ValueError, RuntimeError) as error:
            if not fetch and _PUBLIC_NAME.fullmatch(model) and not Path(model).is_dir():
                raise NotHereError(model) from error
            fetched = ", and could not be fetched" if fetch else ""
            raise TextModelError(
                f"the CLIP model {model!r} is no folder with a CLIP{fetched}; on a computer with a network "
                f"`hf download {DEFAULT_CLIP} --local-dir clip` makes a folder to give instead"
            ) from error
        self._device = device

    @property
    def temperature(self) -> float:
        """The factor of similarities before they become probabilities."""
        return float(self._clip.logit_scale.detach().exp())

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return int(self._clip.config.projection_dim)

    @property
    def picture_size(self) -> int:
        """Side of the pictures that the model sees, in pixels."""
        return int(self._clip.config.vision_config.image_size)

    @torch.inference_mode()
    def words(self, texts: Sequence[str]) -> Vectors:
        """Return (N, D) vectors of length 1 of N texts."""
        tokens = self._tokens(list(texts), padding=True, truncation=True, return_tensors="pt")
        ids, mask = tokens["input_ids"].to(self._device), tokens["attention_mask"].to(self._device)
        return _of_length_one(self._clip.get_text_features(input_ids=ids, attention_mask=mask))

    @torch.inference_mode()
    def pictures(self, pictures: Sequence[NDArray[np.uint8]]) -> Vectors:
        """Return (N, D) vectors of length 1 of N pictures (H, W, 3) of eight bits."""
        pixels = self._pixels(images=list(pictures), return_tensors="pt")["pixel_values"].to(self._device)
        return _of_length_one(self._clip.get_image_features(pixel_values=pixels))

    @torch.inference_mode()
    def objects(self, pictures: NDArray[np.uint8], inside: NDArray[np.bool_]) -> Vectors:
        """Return vectors of objects: in its last layer the model looks at nothing but them.

        Parameters
        ----------
        pictures : numpy.ndarray
            (N, S, S, 3) of eight bits, S being `picture_size`.
        inside : numpy.ndarray
            (N, S, S) bool, the object of each.

        Returns
        -------
        numpy.ndarray
            (N, D), rows of length 1.
        """
        if not len(pictures):
            return np.zeros((0, self.width), np.float32)
        vision, patch = self._clip.vision_model, self._clip.config.vision_config.patch_size
        vectors = []
        for start in range(0, len(pictures), _OBJECTS_AT_A_TIME):
            part = slice(start, start + _OBJECTS_AT_A_TIME)
            pixels = self._pixels(images=list(pictures[part]), return_tensors="pt")["pixel_values"].to(self._device)
            masks = torch.from_numpy(inside[part]).to(self._device)
            seen = F.max_pool2d(masks[:, None].float(), patch).flatten(1) > 0
            vectors.append(_of_length_one(self._clip.visual_projection(look_at_patches(vision, pixels, seen))))
        return np.concatenate(vectors)


def look_at_patches(vision: Any, pixels: Tensor, seen: Tensor) -> Tensor:
    """Return what the class token of a CLIP's vision model sees where, in the last layer, it sees some patches alone.

    Kirillov et al. 2023, appendix D.5: so the embedding is one of the object, and yet of the object in its place.

    Parameters
    ----------
    vision : transformers.CLIPVisionModel
        The model.
    pixels : Tensor
        (N, 3, S, S), normalised.
    seen : Tensor
        (N, P) bool, the patches in rows; where there is none for a picture, it sees all.

    Returns
    -------
    Tensor
        (N, channels), before the projection.
    """
    hidden = vision.pre_layrnorm(vision.embeddings(pixels))  # (N, 1 + P, channels)
    *layers, last = vision.encoder.layers
    for layer in layers:
        hidden = layer(hidden, None)
    seen = seen | ~seen.any(dim=1, keepdim=True)
    hindered = hidden.new_zeros(len(hidden), 1, hidden.shape[1], hidden.shape[1])
    hindered[:, 0, 0, 0] = torch.finfo(hidden.dtype).min  # nor does the class token see itself
    hindered[:, 0, 0, 1:].masked_fill_(~seen, torch.finfo(hidden.dtype).min)
    hidden = last(hidden, hindered)
    pooled: Tensor = vision.post_layernorm(hidden[:, 0])
    return pooled


def _of_length_one(features: Any) -> Vectors:
    """Return projected features, (N, D) with rows of length 1; newer versions of the library wrap them."""
    tensor = features if isinstance(features, Tensor) else features.pooler_output
    return np.asarray(F.normalize(tensor.float(), dim=-1).cpu().numpy())
