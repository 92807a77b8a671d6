"""Mask decoder of SAM: image embedding and prompt tokens to mask logits and predicted IoU. Knows no pixels.

Kirillov et al. 2023, appendix A (doi:10.1109/ICCV51070.2023.00371). Parameter names are the published ones.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segany.model.config import SamConfig
from napari_segany.model.layers import LayerNorm2d
from napari_segany.model.two_way_transformer import TwoWayTransformer


class MaskDecoder(nn.Module):
    """Masks for prompts on an image embedding.

    Parameters
    ----------
    config : SamConfig
        The whole model's shape.
    """

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.num_mask_tokens = config.num_multimask_outputs + 1
        self.transformer = TwoWayTransformer(
            config.decoder_depth, dim, config.decoder_num_heads, config.decoder_mlp_dim
        )
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(dim, dim, dim // 8, num_layers=3) for _ in range(self.num_mask_tokens)
        )
        self.iou_prediction_head = MLP(dim, config.iou_head_hidden_dim, self.num_mask_tokens, config.iou_head_depth)

    def forward(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Decode and choose: three masks for an ambiguous prompt, or the one for an unambiguous prompt.

        Parameters and errors are those of `predict_masks`.

        Returns
        -------
        masks : Tensor
            (B, 3, 4h, 4w) or (B, 1, 4h, 4w) logits.
        iou : Tensor
            (B, 3) or (B, 1) predicted IoU.
        """
        masks, iou = self.predict_masks(image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings)
        return choose_masks(masks, iou, multimask=multimask_output)

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Decode all mask tokens: the one for unambiguous prompts first, then the three for ambiguous ones.

        Parameters
        ----------
        image_embeddings : Tensor
            (1, 256, h, w), shared by all prompts, or (B, 256, h, w), one per prompt.
        image_pe : Tensor
            (1, 256, h, w), positions of the embedding's cells.
        sparse_prompt_embeddings : Tensor
            (B, tokens, 256).
        dense_prompt_embeddings : Tensor
            (B, 256, h, w).

        Returns
        -------
        masks : Tensor
            (B, 4, 4h, 4w) logits.
        iou : Tensor
            (B, 4) predicted IoU.

        Raises
        ------
        ValueError
            For embeddings that are neither one nor one per prompt.
        """
        prompts = sparse_prompt_embeddings.shape[0]
        if image_embeddings.shape[0] not in (1, prompts):
            raise ValueError(
                f"{image_embeddings.shape[0]} image embeddings for {prompts} prompts; give one for all, or one each"
            )
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])  # (1 + 4, 256)
        tokens = torch.cat([own.expand(prompts, -1, -1), sparse_prompt_embeddings], dim=1)
        image = image_embeddings + dense_prompt_embeddings  # (B, 256, h, w)
        hidden, keys = self.transformer(image, image_pe, tokens)
        upscaled = self.output_upscaling(keys.transpose(1, 2).unflatten(2, image.shape[2:]))  # (B, 32, 4h, 4w)
        of_masks = hidden[:, 1 : 1 + self.num_mask_tokens]
        filters = torch.stack([mlp(of_masks[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1)
        masks = (filters @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])  # (B, 4, 4h, 4w)
        return masks, self.iou_prediction_head(hidden[:, 0])


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, inputs: int, hidden: int, outputs: int, num_layers: int) -> None:
        super().__init__()
        widths = [inputs, *[hidden] * (num_layers - 1), outputs]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., outputs) of (..., inputs)."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        out: Tensor = self.layers[-1](x)
        return out


def choose_masks(masks: Tensor, iou: Tensor, *, multimask: bool) -> tuple[Tensor, Tensor]:
    """Return the masks for ambiguous prompts (`multimask`), else the first, of (B, 4, h, w) and (B, 4)."""
    chosen = mask_choice(multimask=multimask)
    return masks[:, chosen], iou[:, chosen]


def mask_choice(*, multimask: bool) -> slice:
    """Return which of the four masks answer a prompt: the three for ambiguous prompts, or the first."""
    return slice(1, None) if multimask else slice(0, 1)
