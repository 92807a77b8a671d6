"""The shape of a SAM as frozen values: what `build_sam` needs to know, and nothing about weights or files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True)
class ViTConfig:
    """Plain vision transformer with windowed and global attention (ViTDet, doi:10.1007/978-3-031-20077-9_17).

    Attributes
    ----------
    embed_dim : int
        Channels of a token.
    depth : int
        Number of transformer blocks.
    num_heads : int
        Attention heads; must divide `embed_dim`.
    window_size : int
        Side, in tokens, of the attention windows of the blocks that are not global.
    global_attn_indexes : tuple of int
        Blocks that attend to the whole image.
    patch_size : int
        Side, in pixels, of one token.
    mlp_ratio : float
        Hidden channels of a block's MLP over `embed_dim`.
    use_rel_pos : bool
        Add decomposed relative positions to the attention (appendix A of the SAM paper).
    drop_path_rate : float
        Stochastic depth of the last block while training; earlier blocks get proportionally less.
    """

    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    window_size: int = 14
    global_attn_indexes: tuple[int, ...] = (2, 5, 8, 11)
    patch_size: int = 16
    mlp_ratio: float = 4.0
    use_rel_pos: bool = True
    drop_path_rate: float = 0.0


@dataclass(frozen=True)
class TinyViTConfig:
    """TinyViT (doi:10.1007/978-3-031-19803-8_5) with the stride of 16 that MobileSAM (arXiv:2306.14289) gave it.

    Attributes
    ----------
    embed_dims : tuple of int
        Channels of the four stages, at strides 4, 8, 16 and 16.
    depths : tuple of int
        Blocks of each stage; the first stage is convolutional.
    num_heads : tuple of int
        Attention heads of each stage (that of the first is not used).
    window_sizes : tuple of int
        Side, in tokens, of each stage's attention windows (that of the first is not used).
    mlp_ratio : float
        Hidden channels of an MLP over the stage's channels.
    conv_expand_ratio : float
        Hidden channels of a convolutional block over the first stage's channels.
    drop_path_rate : float
        Stochastic depth of the last block while training.
    classifier : bool
        Keep the published, unused classification head, so that published checkpoints load key by key.
    """

    embed_dims: tuple[int, int, int, int] = (64, 128, 160, 320)
    depths: tuple[int, int, int, int] = (2, 2, 6, 2)
    num_heads: tuple[int, int, int, int] = (2, 4, 5, 10)
    window_sizes: tuple[int, int, int, int] = (7, 7, 14, 7)
    mlp_ratio: float = 4.0
    conv_expand_ratio: float = 4.0
    drop_path_rate: float = 0.0
    classifier: bool = True


@dataclass(frozen=True)
class PyramidConfig:
    """Convolutional encoder of four scales with a way back to fine ones, and the decoder that reads all of them.

    Attributes
    ----------
    widths : tuple of int
        Channels at strides 4, 8, 16 and 32.
    depths : tuple of int
        Residual blocks at each of them.
    fine_channels : tuple of int
        Channels of the features at strides 4 and 8 that the mask decoder reads.
    drop_path_rate : float
        Stochastic depth of the last block while training; earlier blocks get proportionally less.
    """

    widths: tuple[int, int, int, int] = (48, 96, 192, 256)
    depths: tuple[int, int, int, int] = (1, 2, 3, 2)
    fine_channels: tuple[int, int] = (16, 32)
    drop_path_rate: float = 0.0


EncoderConfig = ViTConfig | TinyViTConfig | PyramidConfig
ENCODERS: Mapping[str, type[ViTConfig] | type[TinyViTConfig] | type[PyramidConfig]] = {
    "vit": ViTConfig,
    "tiny_vit": TinyViTConfig,
    "pyramid": PyramidConfig,
}


@dataclass(frozen=True)
class SamConfig:
    """A whole SAM.

    Attributes
    ----------
    image_size : int
        Side, in pixels, of the square model input; the long side of an image is resized to it.
    encoder : ViTConfig, TinyViTConfig or PyramidConfig
        The image encoder; the last one comes with its own mask decoder.
    embed_dim : int
        Channels of the image embedding and of every prompt token.
    decoder_depth : int
        Layers of the two-way transformer.
    decoder_num_heads : int
        Its attention heads.
    decoder_mlp_dim : int
        Hidden channels of its MLPs.
    num_multimask_outputs : int
        Masks for an ambiguous prompt, besides the one for unambiguous prompts.
    iou_head_depth, iou_head_hidden_dim : int
        The MLP that predicts the IoU of each mask.
    mask_in_chans : int
        Channels of the convolutions that read a mask prompt.
    max_enlargement : float or None
        Small images are enlarged at most by this factor, and fill less of the input then; None fills it always, as
        the published models want it.
    enlarged_side : int or None
        With `max_enlargement`: small images are enlarged until their longer side is this; None for no such end.
    text_embed_dim : int or None
        Width of the embeddings of words or pictures (of a CLIP) that serve as prompts; None, as in the published
        models, for none.
    mask_refinement : bool
        The decoder of a pyramid looks at its first masks and draws them anew.
    fine_boxes : bool
        It sees boxes at stride 4 too, not at stride 8 alone.
    """

    image_size: int = 1024
    encoder: EncoderConfig = ViTConfig()
    embed_dim: int = 256
    decoder_depth: int = 2
    decoder_num_heads: int = 8
    decoder_mlp_dim: int = 2048
    num_multimask_outputs: int = 3
    iou_head_depth: int = 3
    iou_head_hidden_dim: int = 256
    mask_in_chans: int = 16
    max_enlargement: float | None = None
    # Not in its text, of which keys of cached embeddings are made: those of models without them stay as they are.
    enlarged_side: int | None = field(default=None, repr=False)
    text_embed_dim: int | None = field(default=None, repr=False)
    mask_refinement: bool = field(default=False, repr=False)
    fine_boxes: bool = field(default=False, repr=False)

    def enlargement_limit(self, image_shape: Sequence[int]) -> float | None:
        """Return by how much an image of (H, W) pixels is enlarged at most; None for as much as fills the input."""
        if self.max_enlargement is None or self.enlarged_side is None:
            return self.max_enlargement
        return min(self.max_enlargement, max(1.0, self.enlarged_side / max(image_shape)))

    def as_trained_today(self) -> SamConfig:
        """Return this model as today's training would build it: pyramids with all that was added to their decoder."""
        is_pyramid = isinstance(self.encoder, PyramidConfig)
        return replace(self, mask_refinement=is_pyramid, fine_boxes=is_pyramid)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; `encoder_type` tells the encoders apart."""
        encoder_type = next(name for name, kind in ENCODERS.items() if isinstance(self.encoder, kind))
        values = {**asdict(self), "encoder_type": encoder_type}
        for name in ("text_embed_dim", "mask_refinement", "fine_boxes"):
            if not values[name]:  # earlier versions go on reading models without it
                del values[name]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SamConfig:
        """Build the configuration that `to_dict` wrote.

        Raises
        ------
        ValueError
            For a key or an encoder type that this version does not know.
        """
        values = dict(values)
        encoder_type = values.pop("encoder_type", "vit")
        if encoder_type not in ENCODERS:
            raise ValueError(f"encoder_type is {encoder_type!r}; known are {', '.join(ENCODERS)}")
        encoder = _checked(ENCODERS[encoder_type], values.pop("encoder", {}))
        return _checked(cls, {**values, "encoder": encoder})


def _checked(cls: type, values: Mapping[str, Any]) -> Any:
    known = {field.name for field in fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"{cls.__name__} has no {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


VIT_B = SamConfig()
VIT_L = SamConfig(
    encoder=ViTConfig(embed_dim=1024, depth=24, num_heads=16, global_attn_indexes=(5, 11, 17, 23)),
)
VIT_H = SamConfig(
    encoder=ViTConfig(embed_dim=1280, depth=32, num_heads=16, global_attn_indexes=(7, 15, 23, 31)),
)
VIT_T = SamConfig(encoder=TinyViTConfig())
LIGHT = SamConfig(
    encoder=PyramidConfig(),
    decoder_mlp_dim=512,
    iou_head_hidden_dim=128,
    max_enlargement=2.0,
    enlarged_side=512,
    mask_refinement=True,
    fine_boxes=True,
)

PRESETS: Mapping[str, SamConfig] = {
    "light": LIGHT,
    "vit_t": VIT_T,
    "vit_b": VIT_B,
    "vit_l": VIT_L,
    "vit_h": VIT_H,
}
