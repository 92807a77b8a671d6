"""Drawing masks of one prompt from what was read of an image, some cells at a time. Knows no attention."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from napari_segany.model.fast_decoder import Reading
from napari_segany.model.layers import LayerNorm2d, gelu_
from napari_segany.model.shared_image import SharedImage

# Cells whose masks are drawn at a time: fewer make the products slow, more leave the cache.
_CELLS_AT_A_TIME = 2048


def draw_masks(
    shared: SharedImage, reading: Reading, chosen: slice | Tensor, region: tuple[int, int] | None = None
) -> Tensor:
    """Draw masks of one prompt.

    Parameters
    ----------
    shared : SharedImage
        The image.
    reading : Reading
        What `read_prompts` made of it.
    chosen : slice or Tensor
        Which of the four masks; int64 numbers.
    region : tuple of int, optional
        (rows, cols) of cells, from the top left, to draw; all when not given.

    Returns
    -------
    Tensor
        (masks, 4 * rows, 4 * cols) logits.
    """
    rows, cols = region or shared.grid
    filters = reading.filters[chosen]
    added = (reading.rows @ shared.upscale_weight).unflatten(1, (2, -1))  # R, step down, step right * 64
    image, scale = _left(shared.upscaled, shared.grid, cols), _left(reading.scale(), shared.grid, cols)
    weights = _left(reading.weights().T, shared.grid, cols)
    logits = filters.new_empty(len(filters), rows, 2, 2, 4 * cols)  # rows of a cell: two steps of the convolutions
    upscaling = _Upscaling(shared)
    height = max(1, _CELLS_AT_A_TIME // cols)
    for start in range(0, rows, height):
        some = slice(start, min(start + height, rows))
        for down in range(2):
            x = image[some, :, down] * scale[some, :, None]
            x = x.flatten(0, 1).addmm_(weights[some].flatten(0, 1), added[:, down])  # (n, 2 * 64)
            x = upscaling.first(x, down)
            for further in range(2):
                drawn = filters @ upscaling.second(x, further).T  # (masks, n * 4)
                logits[:, some, down, further] = drawn.view(len(filters), -1, 4 * cols)
    return logits.view(len(filters), 4 * rows, 4 * cols)


class _Upscaling:
    """The two upscaling convolutions, one row of their results at a time, so that nothing has to be rearranged."""

    def __init__(self, shared: SharedImage) -> None:
        norm, second = shared.decoder.output_upscaling[1], shared.decoder.output_upscaling[3]
        if not isinstance(norm, LayerNorm2d) or not isinstance(second, nn.ConvTranspose2d) or second.bias is None:
            raise TypeError("the decoder's upscaling is not a normalisation and a transposed convolution with a bias")
        self._norm = norm
        self._constant = shared.upscale_constant.unflatten(0, (2, -1))  # step down, step right * 64
        self._weight = second.weight.permute(2, 3, 1, 0).flatten(1, 2)  # step down, step right * 32, 64
        self._bias = second.bias.repeat(2)

    def first(self, x: Tensor, down: int) -> Tensor:
        """Return (2 * n, 64) of the first convolution's sums (n, 2 * 64) in one of its rows."""
        x += self._constant[down]
        x = x.view(-1, self._weight.shape[2])
        return gelu_(F.layer_norm(x, self._norm.weight.shape, self._norm.weight, self._norm.bias, self._norm.eps))

    def second(self, x: Tensor, down: int) -> Tensor:
        """Return (4 * n, 32) of (2 * n, 64), in one row of the second convolution."""
        return gelu_(F.linear(x, self._weight[down], self._bias)).view(-1, self._weight.shape[1] // 2)


def _left(maps: Tensor, grid: tuple[int, int], cols: int) -> Tensor:
    """Return (h, cols, ...), the left part of maps (h * w, ...)."""
    return maps.unflatten(0, grid)[:, :cols]
