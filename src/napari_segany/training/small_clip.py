"""A CLIP of a hundred thousand weights, taught pictures and their names in seconds: to try words without a download.

It is one of the library transformers, in a folder like any other: `Clip` and `segany train` take it as they take a
published one. Radford et al. 2021 (arXiv:2103.00020).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from napari_segany.engine.progress import Progress, Steps
from napari_segany.training.synthetic.named_shapes import NamedImage
from napari_segany.training.words import picture_objects

SIZE = 32
"""Side of its pictures, in pixels."""

_PADDING, _BEGIN, _END, _UNKNOWN = "<pad>", "<s>", "</s>", "<?>"
_BATCH = 64
_RATE = 2e-3


def small_clip(
    words: Sequence[str], folder: str | os.PathLike[str], *, patch: int = 8, layers: int = 2, seed: int = 0
) -> None:
    """Write a CLIP with random weights that knows some words, as one would be downloaded.

    Parameters
    ----------
    words : sequence of str
        Each a single word.
    folder : path
        Made where it is not there.
    patch : int
        Side of the patches that it sees a picture of 32 px as.
    layers : int
        Of its vision model.
    seed : int
        Of the weights.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    # The library takes an end of number 2 for that of old files, whose end it looks for elsewhere.
    known = [_PADDING, _UNKNOWN, _BEGIN, _END, *dict.fromkeys(words)]
    numbers = {word: number for number, word in enumerate(known)}
    tokens = Tokenizer(models.WordLevel(numbers, unk_token=_UNKNOWN))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(token, numbers[token]) for token in (_BEGIN, _END)]
    tokens.post_processor = processors.TemplateProcessing(single=f"{_BEGIN} $A {_END}", special_tokens=ends)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token=_PADDING, bos_token=_BEGIN, eos_token=_END, unk_token=_UNKNOWN
    )
    ids = {"bos_token_id": numbers[_BEGIN], "eos_token_id": numbers[_END], "pad_token_id": numbers[_PADDING]}
    size = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
    text = {**size, **ids, "num_hidden_layers": 1, "vocab_size": len(known), "max_position_embeddings": 16}
    vision = {**size, "num_hidden_layers": layers, "image_size": SIZE, "patch_size": patch}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=32))
    for part in (model, tokenizer, _pixels(CLIPImageProcessorPil)):
        part.save_pretrained(Path(folder))


def teach_clip_steps(
    folder: str | os.PathLike[str],
    pictures: NDArray[np.uint8],
    names: Sequence[str],
    *,
    steps: int = 300,
    seed: int = 0,
) -> Steps[float]:
    """Teach the CLIP in a folder which name belongs to which picture, on the processor.

    Parameters
    ----------
    folder : path
        Of a CLIP such as `small_clip` writes; it is replaced by the one that learned.
    pictures : numpy.ndarray
        (N, S, S, 3) of eight bits.
    names : sequence of str
        Of the N pictures; several may have the same.
    steps : int
        Batches of 64 pictures.
    seed : int
        Of their choice.

    Yields
    ------
    Progress
        In steps.

    Returns
    -------
    float
        Mean loss of the last tenth of the steps.
    """
    from transformers import AutoTokenizer, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    model: Any = CLIPModel.from_pretrained(folder).train()
    distinct = list(dict.fromkeys(names))
    tokens: Any = AutoTokenizer.from_pretrained(folder)(distinct, padding=True, return_tensors="pt")
    pixels = _pixels(CLIPImageProcessorPil)(images=list(pictures), return_tensors="pt")["pixel_values"]
    named = torch.tensor([distinct.index(name) for name in names])
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.01)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for step in range(steps):
        yield Progress(step, steps, "Teaching a small CLIP")
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min(1.0, (step + 1) / 20, 2 * (1 - step / steps))
        chosen = torch.randint(len(pictures), (_BATCH,), generator=generator)
        answer = model(**tokens, pixel_values=pixels[chosen])
        # Every picture is told its name among all names: two of a batch may have the same.
        loss = F.cross_entropy(answer.logits_per_image, named[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    model.eval().save_pretrained(Path(folder))
    return float(np.mean(losses[-max(1, steps // 10) :]))


def named_pictures(images: Sequence[NamedImage], seed: int = 0) -> tuple[NDArray[np.uint8], list[str]]:
    """Return pictures (N, S, S, 3) of the shapes of drawn scenes, each in its surroundings, and their names."""
    generator = torch.Generator().manual_seed(seed)
    pictures: list[NDArray[np.uint8]] = []
    names: list[str] = []
    for one in images:
        image, masks, of_image = one.objects()
        pictures.append(picture_objects(image, masks, SIZE, generator)[0])
        names += of_image
    return np.concatenate(pictures), names


def _pixels(processor: Any) -> Any:
    """Return what turns pictures into the small model's input."""
    return processor(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})
