"""The image tokens of some prompts while the layers of the mask decoder are gone through; knows no masks.

`shared_image.py` has the mathematics: the tokens of a prompt are

    X = f (S + W' M) + s

with S and s shared by all prompts, one factor f for each cell, W (R, N) how much each cell attended to what a token
said to a head, divided by the f of then, and M (R, 256) what it said. A layer adds rows to both, and its
normalisation changes f and M. Cells are gone through some at a time, so that what is computed of them stays in the
processor's cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_segany.model.shared_image import ReadMaps, SharedImage, WriteMaps, centred
from napari_segany.model.two_way_transformer import Attention

# Numbers in a map of some prompts and some cells: fewer make the products slow, more leave the cache.
_NUMBERS_AT_A_TIME = 1 << 18
# Cells that a register of the processor holds: products of parts that begin elsewhere take half as long again.
_CELLS_TOGETHER = 16


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the cells, changed in place by each layer.

    Attributes
    ----------
    cells : slice
        Which of the N.
    factor : Tensor
        (B, n), f.
    weights : Tensor
        (B, rows of all layers, n), W; rows of layers to come hold nothing yet.
    """

    cells: slice
    factor: Tensor
    weights: Tensor


@dataclass(frozen=True, eq=False)
class _Asking:
    """What tokens ask cells, by head: vectors (H, B * t, D); (B, H * t, R) times W, or None where that is empty."""

    vectors: Tensor
    on_weights: Tensor | None


@dataclass(frozen=True, eq=False)
class Writing:
    """What tokens have to say to cells, and products of rows for each layer so far."""

    maps: WriteMaps
    asking: _Asking
    products: Sequence[Tensor]


class PromptCells:
    """The image tokens of B prompts with t tokens each: f, W and M of the module, for N cells.

    Attributes
    ----------
    parts : list of Part
        f and W, some cells after the others.
    rows : Tensor
        (B, R, 256), M.
    """

    def __init__(self, shared: SharedImage, prompts: int, tokens: int) -> None:
        depth, self._heads = len(shared.layers), shared.final.attention.num_heads
        self._prompts, self._each = prompts, self._heads * tokens  # rows that a layer adds
        every, empty = shared.upscaled.shape[0], shared.upscaled.new_empty
        at_a_time = _cells_at_a_time(every, prompts * self._each)
        self._turned_memory = empty(prompts, self._heads, tokens, min(at_a_time, every))
        self.rows = empty(prompts, 0, shared.upscale_weight.shape[0])
        self.parts: list[Part] = []
        for start in range(0, every, at_a_time):
            count = min(at_a_time, every - start)
            weights = empty(prompts, depth * self._each + depth - 1, count)
            self.parts.append(Part(slice(start, start + count), torch.ones_like(weights[:, 0]), weights))
        self._values: list[Tensor] = []  # (H, B * t, D) of each layer
        self._starts: list[int] = []  # the first row of each layer

    def read(self, maps: ReadMaps, queries: Tensor, after: Writing | None = None) -> Tensor:
        """Return what tokens (B, t, 256) take from the image, (B, t, 256), once the cells have taken up a writing."""
        attention = maps.attention
        asking = self._asking(attention.q_proj(queries), attention.k_proj.weight, attention)
        sums = RunningSums()
        for part in self.parts:
            if after is not None:
                self._take_up(after, part)
            share = sums.weighted(self._logits(asking, maps.keys, maps.placed, part))  # (H, B, t, n)
            if self._values:
                share *= part.factor[:, None]
            taken = torch.bmm(share.flatten(1, 2), maps.values[..., part.cells].transpose(1, 2))  # (H, B * t, D)
            known = part.weights[:, : self.rows.shape[1]].transpose(1, 2)
            on_rows = torch.bmm(self._turned(share), known)  # (B, H * t, R)
            sums.add(taken.unflatten(1, (self._prompts, -1)), self._by_head(on_rows))
        taken, on_rows = sums.means()  # (H, B, t, D), (H, B, t, R)
        of_rows = F.linear(self.rows, attention.v_proj.weight).unflatten(2, (self._heads, -1))  # (B, R, H, D)
        taken += on_rows @ of_rows.permute(2, 0, 1, 3)
        out: Tensor = attention.out_proj(taken.permute(1, 2, 0, 3).flatten(2) + maps.constant)
        return out

    def writing(self, maps: WriteMaps, keys: Tensor, values: Tensor) -> Writing:
        """Prepare what tokens (B, t, 256) have to say to the cells, which take it up when they are read next."""
        attention = maps.attention
        asking = self._asking(attention.k_proj(keys), attention.q_proj.weight, attention)
        self._starts.append(self.rows.shape[1])
        self._values.append(_heads_first(attention.v_proj(values), attention))
        rows = [self.rows, self._spread(self._values[-1], attention.out_proj.weight.T)]
        if maps.constant is not None:
            rows.append(maps.constant.expand(self._prompts, 1, -1))
        every = centred(torch.cat(rows, dim=1))
        self.rows = every * maps.norm.weight
        return Writing(maps, asking, self._products(every))

    def _take_up(self, writing: Writing, part: Part) -> None:
        """Let some of the cells take up what tokens have to say, and normalise them."""
        start = self._starts[-1]
        logits = self._logits(writing.asking, writing.maps.queries, writing.maps.placed, part)
        new = part.weights[:, start : start + self._each].unflatten(1, (self._heads, -1))  # (B, H, t, n)
        # Softmax over the tokens, written where it is to be while it is computed.
        torch.sub(logits, logits.amax(dim=2, keepdim=True), out=new.transpose(0, 1))
        new.exp_()
        new.mul_((new.sum(dim=2, keepdim=True) * part.factor[:, None, None]).reciprocal_())
        if writing.maps.constant is not None:
            torch.reciprocal(part.factor, out=part.weights[:, start + self._each])
        self._normalise(writing.maps, writing.products, part)

    def _asking(self, projected: Tensor, weight: Tensor, attention: Attention) -> _Asking:
        """Return what tokens ask: projections (B, t, H * D) of them, for cells that a weight projects."""
        vectors = _heads_first(projected * (projected.shape[-1] // self._heads) ** -0.5, attention)
        if not self._values:
            return _Asking(vectors, None)
        return _Asking(vectors, torch.bmm(self._spread(vectors, weight), self.rows.transpose(1, 2)))

    def _logits(self, asking: _Asking, content: Tensor, placed: Tensor | None, part: Part) -> Tensor:
        """Return (H, B, t, n) for some of the cells, of what S is projected to and of what positions are."""
        flat = torch.bmm(asking.vectors, content[..., part.cells])
        logits = flat.unflatten(1, (self._prompts, -1))
        if asking.on_weights is not None:
            logits += self._by_head(torch.bmm(asking.on_weights, part.weights[:, : asking.on_weights.shape[2]]))
            logits *= part.factor[:, None]
        if placed is not None:
            flat.baddbmm_(asking.vectors, placed[..., part.cells])
        return logits

    def _products(self, rows: Tensor) -> list[Tensor]:
        """Return for each layer (B, rows of it, rows from it on) products of rows, those of two layers only once."""
        products = torch.bmm(rows, rows.transpose(1, 2))
        found = []
        for start, end in zip(self._starts, [*self._starts[1:], rows.shape[1]], strict=True):
            products[:, start:end, end:] *= 2
            found.append(products[:, start:end, start:])
        return found

    def _normalise(self, maps: WriteMaps, products: Sequence[Tensor], part: Part) -> None:
        """Bring some of the cells to unit variance; their sums of squares come from those of the factors."""
        squares = maps.squares[part.cells].repeat(self._prompts, 1)
        constants = (None, *maps.constant_crossings)  # that of the first layer is part of S
        for start, values, of_rows, crossing, constant in zip(
            self._starts, self._values, products, maps.crossings, constants, strict=True
        ):
            weights = part.weights[:, start : start + of_rows.shape[2]]
            sums = torch.bmm(of_rows, weights)  # (B, rows of the layer, n)
            crossed = torch.bmm(values, crossing[..., part.cells]).unflatten(1, (self._prompts, -1))
            sums[:, : self._each].unflatten(1, (self._heads, -1)).add_(crossed.transpose(0, 1))
            if constant is not None:
                sums[:, -1] += constant[part.cells]
            squares += sums.mul_(weights[:, : sums.shape[1]]).sum(dim=1)
        variance = squares.clamp_(min=0).mul_(part.factor).mul_(part.factor).div_(self.rows.shape[2])
        part.factor.mul_(variance.add_(maps.norm.eps).rsqrt_())

    def _spread(self, vectors: Tensor, weight: Tensor) -> Tensor:
        """Return (B, H * t, 256), what heads make of vectors (H, B * t, D) by their part of a weight (H * D, 256)."""
        made = torch.bmm(vectors, weight.unflatten(0, (self._heads, -1)))
        return self._by_prompt(made.unflatten(1, (self._prompts, -1)))

    def _by_prompt(self, x: Tensor) -> Tensor:
        """Return (B, H * t, n) of (H, B, t, n)."""
        return x.transpose(0, 1).flatten(1, 2)

    def _turned(self, x: Tensor) -> Tensor:
        """Return what `_by_prompt` does of a map of some cells, in memory that the next one takes over."""
        turned = self._turned_memory[..., : x.shape[-1]]
        return turned.copy_(x.transpose(0, 1)).flatten(1, 2)

    def _by_head(self, x: Tensor) -> Tensor:
        """Return (H, B, t, n) of (B, H * t, n)."""
        return x.unflatten(1, (self._heads, -1)).transpose(0, 1)


def _cells_at_a_time(cells: int, rows: int) -> int:
    """Return how many of the cells are at work at once in maps with some rows: parts alike, none a small rest."""
    parts = -(-cells * rows // _NUMBERS_AT_A_TIME)
    each = -(-cells // parts)
    return -(-each // _CELLS_TOGETHER) * _CELLS_TOGETHER


class RunningSums:
    """Sums over cells weighted by a softmax over all of them, while only some of them are there at a time."""

    def __init__(self) -> None:
        self._highest: Tensor | None = None
        self._total: Tensor | float = 0.0
        self._sums: tuple[Tensor, ...] = ()

    def weighted(self, logits: Tensor) -> Tensor:
        """Turn logits (..., n) into weights, up to a common factor, in place, and return them."""
        highest = logits.amax(dim=-1, keepdim=True)
        if self._highest is not None:
            highest = torch.maximum(highest, self._highest)
            fewer = (self._highest - highest).exp_()
            self._total = self._total * fewer
            self._sums = tuple(one * fewer for one in self._sums)
        self._highest = highest
        weights = logits.sub_(highest).exp_()
        self._total = self._total + weights.sum(dim=-1, keepdim=True)
        return weights

    def add(self, *sums: Tensor) -> None:
        """Add sums (..., D) over the cells whose weights were asked for last."""
        self._sums = tuple(map(torch.add, sums, self._sums)) if self._sums else sums

    def means(self) -> tuple[Tensor, ...]:
        """Return the sums over all cells, with weights that add up to one."""
        return tuple(one / self._total for one in self._sums)


def _heads_first(x: Tensor, attention: Attention) -> Tensor:
    """Return (H, B * t, D) of (B, t, H * D)."""
    return x.unflatten(2, (attention.num_heads, -1)).permute(2, 0, 1, 3).flatten(1, 2)
