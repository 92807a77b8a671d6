"""Mask decoder of `light`: tokens read the image, and convolutions draw what the tokens ask for. Knows no pixels.

As in SAM (Kirillov et al. 2023, doi:10.1109/ICCV51070.2023.00371), tokens for one and for three masks and for their
IoU meet the tokens of the prompts and look at the image embedding. Three things differ, so that a click is cheap and
a small model can learn it from few images:

- the image embedding is not changed by the prompt; what is computed from the image alone serves all its prompts;
- a prompt's token begins with the image's features under it, and prompts are drawn as maps besides;
- the predicted IoU is read from the mask itself, as mask scoring does (Huang et al. 2019,
  doi:10.1109/CVPR.2019.00657).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segany.model.config import PyramidConfig, SamConfig
from napari_segany.model.features import ImageFeatures
from napari_segany.model.mask_decoder import MLP
from napari_segany.model.mask_refinement import MaskRefinement
from napari_segany.model.prompt_encoder import PADDING_LABEL
from napari_segany.model.prompt_maps import BOX_MAPS, CLICK_MAPS, MASK_MAPS, box_maps, click_maps, mask_maps
from napari_segany.model.pyramid_layers import PixelsToTokens, TokenLayer

FINE, MIDDLE = 4, 8
"""Strides of the two scales on which masks are drawn, in pixels."""

STATISTICS = 4
"""Numbers that the IoU head gets about a mask besides its features and its token."""


@dataclass(frozen=True, eq=False)
class SharedFeatures:
    """What a `PyramidDecoder` computes from an image alone, for all prompts on it.

    Attributes
    ----------
    read : tuple of (Tensor, Tensor)
        Keys and values of the embedding, for each layer of tokens.
    asked : Tensor
        (1 or B, heads, c, 2h, 2w), what the cells at stride 8 ask the tokens.
    middle, fine : Tensor
        (1 or B, C, 2h, 2w) and (1 or B, C', 4h, 4w): what the image adds to the maps at strides 8 and 4.
    """

    read: tuple[tuple[Tensor, Tensor], ...]
    asked: Tensor
    middle: Tensor
    fine: Tensor


class PyramidDecoder(nn.Module):
    """Masks for prompts on the features of a `PyramidEncoder`.

    Parameters
    ----------
    config : SamConfig
        The whole model's shape.
    encoder : PyramidConfig
        That of its encoder.
    """

    def __init__(self, config: SamConfig, encoder: PyramidConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        fine, middle = encoder.fine_channels
        self.num_mask_tokens = config.num_multimask_outputs + 1
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, dim)
        self.content_proj = nn.Linear(dim + fine + middle, dim)
        self.mask_prompt_token = nn.Embedding(1, dim)
        self.layers = nn.ModuleList(
            TokenLayer(dim, config.decoder_num_heads, config.decoder_mlp_dim) for _ in range(config.decoder_depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.click_conv = nn.Conv2d(CLICK_MAPS, middle, 1, bias=False)
        self.box_conv = nn.Conv2d(BOX_MAPS, middle, 1, bias=False)
        self.mask_conv = nn.Conv2d(MASK_MAPS, middle, 1, bias=False)
        self.image_conv = nn.Conv2d(middle, middle, 1)
        self.look = PixelsToTokens(middle, dim)
        self.refine1 = nn.Conv2d(middle, middle, 3, padding=1)
        self.refine2 = nn.Conv2d(middle, middle, 3, padding=1)
        self.refinement = MaskRefinement(middle, self.num_mask_tokens) if config.mask_refinement else None
        self.fine_image_conv = nn.Conv2d(fine, fine, 1)
        self.fine_mask_conv = nn.Conv2d(MASK_MAPS, fine, 1, bias=False)
        self.fine_conv = nn.Conv2d(middle, fine, 1, bias=False)
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(dim, dim // 2, middle + fine + 1, num_layers=2) for _ in range(self.num_mask_tokens)
        )
        self.iou_prediction_head = MLP(2 * dim + middle + STATISTICS, config.iou_head_hidden_dim, 1, num_layers=3)
        # Last, so that a seed gives all other weights the same beginning with and without it.
        self.fine_box_conv = nn.Conv2d(BOX_MAPS, fine, 1, bias=False) if config.fine_boxes else None
        self.split = (middle, fine, 1)
        self._start()

    def forward(
        self,
        features: ImageFeatures,
        shared: SharedFeatures,
        prompt_tokens: Tensor,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Decode all mask tokens: the one for unambiguous prompts first, then the three for ambiguous ones.

        Parameters
        ----------
        features : ImageFeatures
            Of one image, shared by all prompts, or of B images, one per prompt.
        shared : SharedFeatures
            What `share` made of them.
        prompt_tokens : Tensor
            (B, tokens, 256), of a `SparsePromptEncoder`.
        points, labels, boxes, masks : Tensor, optional
            The prompts themselves, as `Sam.decode` takes them.

        Returns
        -------
        masks : Tensor
            (B, 4, 4h, 4w) logits.
        iou : Tensor
            (B, 4) predicted IoU.

        Raises
        ------
        ValueError
            For features that are neither one image's nor one per prompt, or masks that do not fit them.
        """
        prompts = len(prompt_tokens)
        if features.embedding.shape[0] not in (1, prompts):
            raise ValueError(
                f"{features.embedding.shape[0]} image embeddings for {prompts} prompts; give one for all, or one each"
            )
        fine = features.high_resolution[0]
        if masks is not None and masks.shape[1:] != (1, *fine.shape[-2:]):
            raise ValueError(
                f"masks have the shape {tuple(masks.shape)}; expected (B, 1, {fine.shape[-2]}, {fine.shape[-1]}), "
                "the size of the low-resolution logits"
            )
        placed = torch.cat([prompt_tokens, self._mask_token(prompts, masks)], dim=1)
        tokens = self._with_content(placed, features, points, labels, boxes)
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight]).expand(prompts, -1, -1)
        positions = torch.cat([torch.zeros_like(own), placed], dim=1)
        hidden = self._read(torch.cat([own, tokens], dim=1), positions, shared)
        of_masks = hidden[:, 1 : 1 + self.num_mask_tokens]
        filters = torch.stack([mlp(of_masks[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1)
        coarse_filter, fine_filter, bias = filters.split(self.split, dim=2)
        middle_map = self._draw(shared, hidden, points, labels, boxes, masks)
        coarse = _filtered(coarse_filter, middle_map) + bias[..., None]
        if self.refinement is not None:
            middle_map = self.refinement(middle_map, coarse)
            coarse = _filtered(coarse_filter, middle_map) + bias[..., None]
        fine_map = self._draw_fine(shared, middle_map, boxes, masks)
        logits = F.interpolate(coarse, fine_map.shape[-2:], mode="bilinear", align_corners=False)
        logits = logits + _filtered(fine_filter, fine_map)
        return logits, self._predict_iou(logits, middle_map, hidden)

    def share(self, features: ImageFeatures, image_pe: Tensor) -> SharedFeatures:
        """Compute what all prompts on an image, or on each of B images, have in common.

        Parameters
        ----------
        features : ImageFeatures
            Of one image, or of B.
        image_pe : Tensor
            (1, 256, h, w), positions of the embedding's cells.
        """
        fine, middle = features.high_resolution
        image = features.embedding.flatten(2).transpose(1, 2)  # (1 or B, h * w, 256)
        positions = image_pe.flatten(2).transpose(1, 2)
        return SharedFeatures(
            tuple(layer.read(image, positions) for layer in self._layers()),
            self.look.ask(middle),
            self.image_conv(middle),
            self.fine_image_conv(fine),
        )

    def _layers(self) -> list[TokenLayer]:
        return [layer for layer in self.layers if isinstance(layer, TokenLayer)]

    def _with_content(
        self,
        tokens: Tensor,
        features: ImageFeatures,
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None,
    ) -> Tensor:
        """Add to the tokens of points and boxes what the image shows there; a box is taken at its centre."""
        content = torch.zeros_like(tokens)
        if points is not None and labels is not None:
            shown = self._sample(features, points) * (labels != PADDING_LABEL)[..., None]
            content[:, : points.shape[1]] = shown.to(content.dtype)
        if boxes is not None:
            first = 0 if points is None else points.shape[1]
            centres = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
            content[:, first : first + 2] = self._sample(features, centres).to(content.dtype)
        return tokens + content

    def _sample(self, features: ImageFeatures, positions: Tensor) -> Tensor:
        """Return the features (B, N, 256) at positions (B, N, 2) in pixels."""
        scales = (features.embedding, *features.high_resolution)
        height, width = features.embedding.shape[-2] * 16, features.embedding.shape[-1] * 16
        extent = torch.tensor([width, height], dtype=torch.float32, device=positions.device)
        where = (positions.float() + 0.5) / extent * 2 - 1  # (B, N, 2) in -1..1
        shared = features.embedding.shape[0] == 1
        grid = where.reshape(1, 1, -1, 2) if shared else where[:, None]
        found = torch.cat(
            [
                F.grid_sample(scale.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)[
                    :, :, 0
                ]
                for scale in scales
            ],
            dim=1,
        )  # (1, C, B * N) or (B, C, N)
        found = found.transpose(1, 2).reshape(*positions.shape[:2], -1)
        sampled: Tensor = self.content_proj(found)
        return sampled

    def _mask_token(self, prompts: int, masks: Tensor | None) -> Tensor:
        """Return the token (B, 1, 256) that says there is a mask prompt, or (B, 0, 256)."""
        return self.mask_prompt_token.weight.expand(prompts, 1, -1)[:, : 0 if masks is None else 1]

    def _read(self, tokens: Tensor, positions: Tensor, shared: SharedFeatures) -> Tensor:
        """Return the tokens (B, T, 256) after they looked at each other and at the image."""
        for layer, (keys, values) in zip(self._layers(), shared.read, strict=True):
            tokens = layer(tokens, positions, keys, values)
        read: Tensor = self.norm(tokens)
        return read

    def _draw(
        self,
        shared: SharedFeatures,
        hidden: Tensor,
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None,
        masks: Tensor | None,
    ) -> Tensor:
        """Return maps at stride 8, of every prompt, whose weighted sums are the masks."""
        grid = (shared.middle.shape[-2], shared.middle.shape[-1])
        drawn = shared.middle + self.look(shared.asked, hidden)  # (B, C, 2h, 2w)
        clicks, boxed = click_maps(points, labels, grid, MIDDLE), box_maps(boxes, grid, MIDDLE)
        for conv, maps in (
            (self.click_conv, clicks),
            (self.box_conv, boxed),
            (self.mask_conv, mask_maps(masks, grid)),
        ):
            if maps is not None:
                drawn = drawn + conv(maps)
        drawn = F.relu(drawn)
        refined: Tensor = drawn + self.refine2(F.relu(self.refine1(drawn)))
        return refined

    def _draw_fine(self, shared: SharedFeatures, drawn: Tensor, boxes: Tensor | None, masks: Tensor | None) -> Tensor:
        """Return maps at stride 4, of every prompt, which add to the masks what is too fine for stride 8."""
        grid = (shared.fine.shape[-2], shared.fine.shape[-1])
        finer = F.interpolate(self.fine_conv(drawn), grid, mode="bilinear", align_corners=False)
        finer = finer + shared.fine
        shown = mask_maps(masks, grid)
        if shown is not None:
            finer = finer + self.fine_mask_conv(shown)
        boxed = None if self.fine_box_conv is None else box_maps(boxes, grid, FINE)
        if self.fine_box_conv is not None and boxed is not None:
            finer = finer + self.fine_box_conv(boxed)
        return F.relu(finer)

    def _predict_iou(self, logits: Tensor, middle_map: Tensor, hidden: Tensor) -> Tensor:
        """Return (B, 4): what the tokens, the features in the mask and its certainty say about its IoU."""
        probability = F.avg_pool2d(logits.detach().float().sigmoid(), MIDDLE // FINE)  # (B, 4, 2h, 2w)
        area = probability.sum(dim=(2, 3))
        inside = _filtered_transposed(probability.to(middle_map.dtype), middle_map) / (area[..., None] + 1)
        statistics = mask_statistics(logits.detach().float())
        tokens = hidden[:, 1 : 1 + self.num_mask_tokens]
        seen = torch.cat([tokens, hidden[:, :1].expand_as(tokens), inside, statistics.to(tokens.dtype)], dim=2)
        iou: Tensor = self.iou_prediction_head(seen)[..., 0]
        return iou.float().sigmoid()

    @torch.no_grad()
    def _start(self) -> None:
        """Begin with tokens that are small beside the prompts', and with additions that change nothing."""
        for embedding in (self.iou_token, self.mask_tokens, self.mask_prompt_token):
            embedding.weight.mul_(0.1)
        nn.init.zeros_(self.refine2.weight)
        if self.fine_box_conv is not None:
            nn.init.zeros_(self.fine_box_conv.weight)


def mask_statistics(logits: Tensor) -> Tensor:
    """Return what a mask's certainty says about it.

    Parameters
    ----------
    logits : Tensor
        (..., h, w).

    Returns
    -------
    Tensor
        (..., 4): the IoU to expect if the probabilities are right (their sum inside over the area with all that is
        expected outside), the mean probability inside, the logarithm of the area in tenths, and the stability (the
        IoU of the masks at logits of 1 and -1).
    """
    probability, inside = logits.sigmoid(), logits > 0
    area = inside.sum(dim=(-2, -1))
    kept = (probability * inside).sum(dim=(-2, -1))
    missed = (probability * ~inside).sum(dim=(-2, -1))
    high, low = (logits > 1).sum(dim=(-2, -1)), (logits > -1).sum(dim=(-2, -1))
    return torch.stack(
        [
            kept / (area + missed).clamp(min=1e-6),
            kept / area.clamp(min=1),
            torch.log1p(area.to(logits.dtype)) / 10,
            high / low.clamp(min=1),
        ],
        dim=-1,
    )


def _filtered(filters: Tensor, maps: Tensor) -> Tensor:
    """Return (B, M, h, w), the sums of maps (B, C, h, w) weighted by filters (B, M, C)."""
    return (filters @ maps.flatten(2)).unflatten(2, maps.shape[-2:])


def _filtered_transposed(weights: Tensor, maps: Tensor) -> Tensor:
    """Return (B, M, C), the sums of maps (B, C, h, w) over positions weighted by (B, M, h, w)."""
    return weights.flatten(2) @ maps.flatten(2).transpose(1, 2)
