"""The whole Segment Anything Model as tensors in, tensors out. Knows no images, no devices and no files.

Kirillov et al. 2023 (doi:10.1109/ICCV51070.2023.00371). Positions are (x, y) in pixels of the model's input.
"""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segany.generators import drain
from napari_segany.model.config import PyramidConfig, SamConfig, TinyViTConfig
from napari_segany.model.features import ImageFeatures
from napari_segany.model.image_encoder import ImageEncoderViT
from napari_segany.model.mask_decoder import MaskDecoder, choose_masks
from napari_segany.model.mixed_precision import in_precision
from napari_segany.model.prompt_encoder import STRIDE, PromptEncoder, SparsePromptEncoder
from napari_segany.model.pyramid_decoder import PyramidDecoder, SharedFeatures
from napari_segany.model.pyramid_encoder import STRIDE as PYRAMID_STRIDE
from napari_segany.model.pyramid_encoder import PyramidEncoder
from napari_segany.model.tiny_vit import TinyViT

LOGITS_STRIDE = 4
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


class Sam(nn.Module):
    """Image encoder, prompt encoder and mask decoder.

    Parameters
    ----------
    config : SamConfig
        Shape of the network.

    Raises
    ------
    ValueError
        For a configuration that no network can have.
    """

    mask_threshold: float = 0.0
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        if config.image_size <= 0 or config.image_size % STRIDE:
            raise ValueError(f"image_size is {config.image_size}; it must be a positive multiple of {STRIDE}")
        self.config = config
        self.image_encoder: ImageEncoderViT | TinyViT | PyramidEncoder
        self.prompt_encoder: PromptEncoder | SparsePromptEncoder
        self.mask_decoder: MaskDecoder | PyramidDecoder
        if isinstance(config.encoder, PyramidConfig):
            self.image_encoder = PyramidEncoder(config.encoder, config.embed_dim)
            self.prompt_encoder = SparsePromptEncoder(config.embed_dim, config.image_size, config.text_embed_dim)
            self.mask_decoder = PyramidDecoder(config, config.encoder)
        else:
            if isinstance(config.encoder, TinyViTConfig):
                self.image_encoder = TinyViT(config.encoder, config.embed_dim)
            else:
                self.image_encoder = ImageEncoderViT(config.encoder, config.image_size, config.embed_dim)
            self.prompt_encoder = PromptEncoder(
                config.embed_dim, config.image_size, config.mask_in_chans, config.text_embed_dim
            )
            self.mask_decoder = MaskDecoder(config)
        # On the CPU even when the model is built on the meta device, since no checkpoint holds them.
        for name, values in (("pixel_mean", PIXEL_MEAN), ("pixel_std", PIXEL_STD)):
            self.register_buffer(name, torch.tensor(values, device="cpu").view(3, 1, 1), persistent=False)

    def preprocess(self, image: Tensor) -> Tensor:
        """Normalise pixels and pad to the model's input: square for the published models.

        Parameters
        ----------
        image : Tensor
            (B, 3, h, w) float, RGB in 0..255, h and w at most `config.image_size`.

        Returns
        -------
        Tensor
            (B, 3, S, S), normalised, zero below and to the right of the image; a convolutional encoder, which takes
            any size, gets no more than the next multiples of 32.

        Raises
        ------
        ValueError
            For another shape.
        """
        size = self.config.image_size
        if image.ndim != 4 or image.shape[1] != 3 or max(image.shape[2:]) > size:
            raise ValueError(
                f"the image has the shape {tuple(image.shape)}; expected (B, 3, h, w) with h and w up to {size}: "
                "resize its long side first"
            )
        normalised = (image - self.pixel_mean) / self.pixel_std
        rows, cols = size, size
        if isinstance(self.image_encoder, PyramidEncoder):
            rows, cols = (min(size, -(-side // PYRAMID_STRIDE) * PYRAMID_STRIDE) for side in image.shape[2:])
        return F.pad(normalised, (0, cols - image.shape[3], 0, rows - image.shape[2]))

    def encode(self, x: Tensor, *, products: torch.dtype | None = None) -> ImageFeatures:
        """Return the features of normalised pixels (B, 3, H, W); see `encode_steps`."""
        return drain(self.encode_steps(x, products=products))

    def encode_steps(
        self, x: Tensor, *, products: torch.dtype | None = None
    ) -> Generator[tuple[int, int], None, ImageFeatures]:
        """Encode block by block; closing the generator stops before the next block.

        Parameters
        ----------
        x : Tensor
            (B, 3, H, W) normalised pixels; H and W are multiples of 16, not necessarily `config.image_size`.
        products : torch.dtype, optional
            Type of the operands of large products, such as torch.bfloat16; that of the weights by default.

        Yields
        ------
        tuple of int
            Blocks done, and blocks in all.

        Returns
        -------
        ImageFeatures
            The features.

        Raises
        ------
        ValueError
            For another shape.
        """
        if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] % STRIDE or x.shape[3] % STRIDE or not x.numel():
            raise ValueError(
                f"the input has the shape {tuple(x.shape)}; expected (B, 3, H, W), "
                f"H and W multiples of {STRIDE}: use preprocess"
            )
        steps = self.image_encoder.steps(x)
        embedding, scales = yield from (steps if products is None else in_precision(steps, x, products))
        return ImageFeatures(embedding, scales if isinstance(self.mask_decoder, PyramidDecoder) else ())

    def decode(
        self,
        features: ImageFeatures,
        *,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        text: Tensor | None = None,
        multimask: bool,
        origin: tuple[int, int] = (0, 0),
        shared: SharedFeatures | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Answer B prompts.

        Parameters
        ----------
        features : ImageFeatures
            Of one image, shared by all prompts, or of B images, one per prompt.
        points : Tensor, optional
            (B, N, 2), x, y in pixels of the model's input.
        labels : Tensor, optional
            (B, N): 1 foreground, 0 background, -1 for points that only pad.
        boxes : Tensor, optional
            (B, 4), x0, y0, x1, y1 in pixels of the model's input.
        masks : Tensor, optional
            (B, 1, 4h, 4w) logits.
        text : Tensor, optional
            (B, D), embeddings of words or of a picture by the CLIP that the model was trained with.
        multimask : bool
            Three masks for an ambiguous prompt instead of one.
        origin : tuple of int
            (x, y) of the features' window within the canvas of `config.image_size`, in pixels, multiples of 16,
            where the features are those of a crop. Prompts are relative to the window.
        shared : SharedFeatures, optional
            What `share` returned for these features.

        Returns
        -------
        logits : Tensor
            (B, C, 4h, 4w), C = 3 or 1; above `mask_threshold` is the object.
        iou : Tensor
            (B, C) predicted IoU.

        Raises
        ------
        ValueError
            For no prompt, points without labels, prompts of different number, or words for a model that takes none.
        """
        logits, iou = self.decode_all(
            features, points=points, labels=labels, boxes=boxes, masks=masks, text=text, origin=origin, shared=shared
        )
        return choose_masks(logits, iou, multimask=multimask)

    def decode_all(
        self,
        features: ImageFeatures,
        *,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        text: Tensor | None = None,
        origin: tuple[int, int] = (0, 0),
        shared: SharedFeatures | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Answer as `decode` does, with all mask tokens at once, for training.

        Returns
        -------
        logits : Tensor
            (B, 4, 4h, 4w): the mask for unambiguous prompts, then the three for ambiguous ones.
        iou : Tensor
            (B, 4) predicted IoU.
        """
        check_prompts(points, labels, boxes, masks, text)
        grid = (features.embedding.shape[2], features.embedding.shape[3])
        given = None if points is None or labels is None else (points, labels)
        if isinstance(self.mask_decoder, PyramidDecoder):
            shared = shared or self.share(features, origin)
            tokens = self.prompt_encoder.tokens(given, boxes, masks, text=text, grid=grid, origin=origin)
            answer: tuple[Tensor, Tensor] = self.mask_decoder(
                features, shared, tokens, points=points, labels=labels, boxes=boxes, masks=masks
            )
            return answer
        image_pe = self.prompt_encoder.get_dense_pe(grid, origin)
        sparse, dense = self.prompt_encoder(given, boxes, masks, text=text, grid=grid, origin=origin)
        return self.mask_decoder.predict_masks(features.embedding, image_pe, sparse, dense)

    def share(self, features: ImageFeatures, origin: tuple[int, int] = (0, 0)) -> SharedFeatures | None:
        """Compute what all prompts on an image have in common, where the decoder can use it: that of `light`."""
        if not isinstance(self.mask_decoder, PyramidDecoder):
            return None
        grid = (features.embedding.shape[2], features.embedding.shape[3])
        return self.mask_decoder.share(features, self.prompt_encoder.get_dense_pe(grid, origin))

    def upscale(self, logits: Tensor, input_shape: tuple[int, int], image_shape: tuple[int, int]) -> Tensor:
        """Bring low-resolution logits to the size of the image.

        Parameters
        ----------
        logits : Tensor
            (B, C, h, w), of the whole padded model input.
        input_shape : tuple of int
            (rows, cols) of the image within the model input, without padding.
        image_shape : tuple of int
            (rows, cols) of the image.

        Returns
        -------
        Tensor
            (B, C, *image_shape).
        """
        padded = (logits.shape[2] * LOGITS_STRIDE, logits.shape[3] * LOGITS_STRIDE)
        full = F.interpolate(logits, padded, mode="bilinear", align_corners=False)
        image = full[..., : input_shape[0], : input_shape[1]]
        if image.shape[2:] == tuple(image_shape):  # nothing to interpolate, which took a tenth of a click
            return image
        return F.interpolate(image, image_shape, mode="bilinear", align_corners=False)


def check_prompts(
    points: Tensor | None,
    labels: Tensor | None,
    boxes: Tensor | None,
    masks: Tensor | None,
    text: Tensor | None = None,
) -> None:
    """Raise a ValueError for points without labels, wrong shapes, or prompts of different number."""
    if (points is None) != (labels is None):
        raise ValueError("points and labels belong together: give both or neither")
    if points is not None and labels is not None and (points.shape[2:] != (2,) or points.shape[:2] != labels.shape):
        raise ValueError(
            f"points have the shape {tuple(points.shape)} and labels {tuple(labels.shape)}; "
            "expected (B, N, 2) and (B, N)"
        )
    if boxes is not None and (boxes.ndim != 2 or boxes.shape[1] != 4):
        raise ValueError(f"boxes have the shape {tuple(boxes.shape)}; expected (B, 4)")
    numbers = {len(prompt) for prompt in (points, boxes, masks, text) if prompt is not None}
    if len(numbers) > 1:
        raise ValueError(
            f"points, boxes, masks and words are of {sorted(numbers)} prompts; all must be of the same number"
        )
