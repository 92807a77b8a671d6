"""Prompt encoder of SAM: points, boxes, masks and words to tokens. Knows nothing of images and masks' decoding.

Kirillov et al. 2023, appendix A (doi:10.1109/ICCV51070.2023.00371); positions are random Fourier features
(Tancik et al. 2020, arXiv:2006.10739). Parameter names are the published ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segany.model.layers import LayerNorm2d

STRIDE = 16
PADDING_LABEL = -1


class PositionEmbeddingRandom(nn.Module):
    """Random Fourier features of positions in [0, 1]."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, features))

    def forward(self, positions: Tensor) -> Tensor:
        """Return (..., 2 * features) of positions (..., 2) in x, y order, each in 0..1."""
        # Not a matrix product: mixed precision would round the coordinates to whole pixels.
        products = (2 * positions - 1)[..., None] * self.positional_encoding_gaussian_matrix  # (..., 2, features)
        phases = 2 * math.pi * products.sum(dim=-2)
        return torch.cat([phases.sin(), phases.cos()], dim=-1)


class SparsePromptEncoder(nn.Module):
    """Points and boxes to tokens, and the positions of the image embedding's cells in the same code.

    Prompts and features may belong to a window of the model's canvas instead of all of it (training on crops):
    `origin` (x, y) in pixels says where the window lies, and positions are encoded as they are in the canvas.
    A window that reaches beyond the canvas is taken to lie in a canvas just large enough for it.

    Parameters
    ----------
    embed_dim : int
        Channels of tokens and map.
    image_size : int
        Side of the canvas, in pixels.
    text_embed_dim : int, optional
        Width of the embeddings of a CLIP that may be prompts too (section 7.5); none are without it.
    """

    def __init__(self, embed_dim: int = 256, image_size: int = 1024, text_embed_dim: int | None = None) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.image_size = image_size
        self.pe_layer = PositionEmbeddingRandom(embed_dim // 2)
        # In this order: background point, foreground point, top left and bottom right corner of a box.
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, embed_dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        self.text_projection = None if text_embed_dim is None else nn.Linear(text_embed_dim, embed_dim)
        if self.text_projection is not None:
            # An embedding has length 1, whatever its width: its token begins as large as the others.
            nn.init.normal_(self.text_projection.weight)
            nn.init.zeros_(self.text_projection.bias)

    def tokens(
        self,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        *,
        text: Tensor | None = None,
        grid: tuple[int, int] | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> Tensor:
        """Return (B, tokens, 256): points (and one for padding where there is no box), two corners of the box, words.

        Parameters are those of `PromptEncoder.forward`; of the masks only the number counts.

        Raises
        ------
        ValueError
            For no prompt at all, or for words of another width or where the model takes none.
        """
        canvas = self._canvas(grid or self._canvas_grid(), origin)
        given = [prompt for prompt in (points[0] if points else None, boxes, masks, text) if prompt is not None]
        if not given:
            raise ValueError("there is no prompt: give points, boxes, masks, words or several of them")
        tokens = [self.not_a_point_embed.weight.new_zeros(given[0].shape[0], 0, self.embed_dim)]
        if points is not None:
            tokens.append(self._encode_points(*points, origin, canvas, pad=boxes is None))
        if boxes is not None:
            tokens.append(self._encode_boxes(boxes, origin, canvas))
        if text is not None:
            tokens.append(self._encode_text(text))
        return torch.cat(tokens, dim=1)

    def get_dense_pe(self, grid: tuple[int, int] | None = None, origin: tuple[int, int] = (0, 0)) -> Tensor:
        """Return the positions (1, 256, h, w) of the cells of the image embedding.

        Parameters
        ----------
        grid : tuple of int, optional
            (h, w) of the window; that of the canvas when not given.
        origin : tuple of int
            (x, y) of the window in the canvas, in pixels; multiples of 16.

        Raises
        ------
        ValueError
            For an origin that is not a multiple of 16 or negative.
        """
        height, width = grid or self._canvas_grid()
        if any(start < 0 or start % STRIDE for start in origin):
            raise ValueError(f"origin is {origin}; both values must be multiples of {STRIDE}, 0 or more")
        cells = self._canvas((height, width), origin) / STRIDE
        device = self.pe_layer.positional_encoding_gaussian_matrix.device
        x = (torch.arange(width, device=device) + (origin[0] // STRIDE + 0.5)) / cells
        y = (torch.arange(height, device=device) + (origin[1] // STRIDE + 0.5)) / cells
        centres = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)  # (h, w, 2)
        positions: Tensor = self.pe_layer(centres)
        return positions.permute(2, 0, 1)[None]

    def _kinds(self) -> Tensor:
        """Return (4, 256): background, foreground, top left, bottom right."""
        return torch.cat(list(self.point_embeddings.parameters()))

    def _canvas_grid(self) -> tuple[int, int]:
        return self.image_size // STRIDE, self.image_size // STRIDE

    def _canvas(self, grid: tuple[int, int], origin: tuple[int, int]) -> int:
        return max(self.image_size, origin[0] + grid[1] * STRIDE, origin[1] + grid[0] * STRIDE)

    def _positions(self, coords: Tensor, origin: tuple[int, int], canvas: int) -> Tensor:
        # Integer coordinates are pixel centres, the canvas is measured from the corner of its first pixel.
        matrix = self.pe_layer.positional_encoding_gaussian_matrix
        offset = torch.tensor(origin, dtype=matrix.dtype, device=matrix.device) + 0.5
        positions: Tensor = self.pe_layer((coords.to(matrix.dtype) + offset) / canvas)
        return positions

    def _encode_points(
        self, coords: Tensor, labels: Tensor, origin: tuple[int, int], canvas: int, *, pad: bool
    ) -> Tensor:
        """Return (B, N, 256), or (B, N + 1, 256) with a padding point."""
        if pad:
            coords = torch.cat([coords, coords.new_zeros(coords.shape[0], 1, 2)], dim=1)
            labels = torch.cat([labels, labels.new_full((labels.shape[0], 1), PADDING_LABEL)], dim=1)
        position = self._positions(coords, origin, canvas)  # (B, N, 256)
        background, foreground = self._kinds()[:2]
        kind = torch.where(labels[..., None] == 0, background, foreground)
        return torch.where(labels[..., None] == PADDING_LABEL, self.not_a_point_embed.weight, position + kind)

    def _encode_boxes(self, boxes: Tensor, origin: tuple[int, int], canvas: int) -> Tensor:
        """Return (B, 2, 256), top left and bottom right corner."""
        corners = self._positions(boxes.reshape(-1, 2, 2), origin, canvas)
        return corners + self._kinds()[2:]

    def _encode_text(self, text: Tensor) -> Tensor:
        """Return (B, 1, 256) of embeddings (B, D) of any length."""
        if self.text_projection is None:
            raise ValueError("this model takes no words: its prompt encoder has no text_projection")
        width = self.text_projection.in_features
        if text.ndim != 2 or text.shape[1] != width:
            raise ValueError(f"the embedding of words has the shape {tuple(text.shape)}; expected (B, {width})")
        projected: Tensor = self.text_projection(F.normalize(text, dim=1))
        return projected[:, None]


class PromptEncoder(SparsePromptEncoder):
    """Prompts to sparse tokens and a dense map.

    Parameters
    ----------
    embed_dim : int
        Channels of tokens and map.
    image_size : int
        Side of the canvas, in pixels.
    mask_in_chans : int
        Channels of the convolutions that read a mask prompt.
    text_embed_dim : int, optional
        As for `SparsePromptEncoder`.
    """

    def __init__(
        self,
        embed_dim: int = 256,
        image_size: int = 1024,
        mask_in_chans: int = 16,
        text_embed_dim: int | None = None,
    ) -> None:
        super().__init__(embed_dim, image_size, text_embed_dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_in_chans // 4, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans // 4),
            nn.GELU(),
            nn.Conv2d(mask_in_chans // 4, mask_in_chans, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans),
            nn.GELU(),
            nn.Conv2d(mask_in_chans, embed_dim, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, embed_dim)

    def forward(
        self,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        *,
        text: Tensor | None = None,
        grid: tuple[int, int] | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> tuple[Tensor, Tensor]:
        """Encode B prompts.

        Parameters
        ----------
        points : tuple of Tensor, optional
            Coordinates (B, N, 2), x, y in pixels of the window, and labels (B, N): 1, 0, or -1 for padding.
        boxes : Tensor, optional
            (B, 4), x0, y0, x1, y1 in pixels of the window.
        masks : Tensor, optional
            (B, 1, 4h, 4w) logits.
        text : Tensor, optional
            (B, D), embeddings of words or of a picture by the CLIP that the model was trained with, of any length.
        grid : tuple of int, optional
            (h, w) of the image embedding; that of the canvas when not given.
        origin : tuple of int
            (x, y) of the window in the canvas, in pixels.

        Returns
        -------
        sparse : Tensor
            (B, tokens, 256): points (and one for padding where there is no box), then two corners of the box,
            then the words.
        dense : Tensor
            (B, 256, h, w).

        Raises
        ------
        ValueError
            For no prompt at all, or for masks that do not fit the grid.
        """
        height, width = grid or self._canvas_grid()
        sparse = self.tokens(points, boxes, masks, text=text, grid=grid, origin=origin)
        if masks is None:
            dense = self.no_mask_embed.weight.view(1, -1, 1, 1).expand(len(sparse), -1, height, width)
        else:
            if masks.shape[1:] != (1, 4 * height, 4 * width):
                raise ValueError(
                    f"masks have the shape {tuple(masks.shape)}; expected (B, 1, {4 * height}, {4 * width}), "
                    "the size of the low-resolution logits"
                )
            dense = self.mask_downscaling(masks)
        return sparse, dense
