"""Image to embedding to masks with one model on one device. Knows no files but weights, and no user interface.

Kirillov et al. 2023 (arXiv:2304.02643). The embedding is a value that the caller keeps and passes to `predict`. A
predictor may be used from any thread; of the images it has seen it keeps only what the decoder made ready of the
latest, for the next click.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from napari_segany.engine.device import (
    DeviceFallbackWarning,
    NotEnoughMemoryError,
    choose_device,
    is_out_of_memory,
)
from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.full_size_masks import full_size_masks
from napari_segany.engine.image import ModelInput, checked_image, model_input
from napari_segany.engine.loaded_model import copy_on_cpu, load_model, model_digest_steps, placed, weights_checksum
from napari_segany.engine.mask_prompt import mask_logits
from napari_segany.engine.precision import products_of
from napari_segany.engine.precision_names import AUTO, BFLOAT16, FLOAT32, digest_in
from napari_segany.engine.prediction import LogitsPrediction, Prediction
from napari_segany.engine.progress import Progress, Steps, drain, relabelled
from napari_segany.engine.prompts import Prompt, check_words
from napari_segany.model import ImageDecoder, ImageFeatures, Sam

if TYPE_CHECKING:  # which brings zarr's neighbours, and is there only for those who want it
    from napari_segany.engine.cache import LayeredCache

_PROMPTS_AT_A_TIME = 64


class Predictor:
    """A model that is ready to answer.

    Parameters
    ----------
    model : str, path or Sam
        A name of the registry ("light", "vit_b", ...), a checkpoint file, or a built model. A built model is moved to
        the device and set to evaluation.
    device : str or torch.device
        "auto", "cuda", "mps" or "cpu"; see `choose_device`.
    weights_folder : path, optional
        Where the weights of the registry are; `engine.weights` says where by default.
    cache : LayeredCache, optional
        Where embeddings are looked up before they are computed, and kept; `CachePlaces(...).open()` makes one.
    precision : str
        Of the image encoder's large products: "float32"; "bfloat16", which rounds them to three digits; or "auto",
        which takes bfloat16 where it is measured to be faster.
        With "auto" a cache may also give an embedding of the other one; otherwise it is what was asked for.

    Attributes
    ----------
    sam : Sam
        The model. With a cache its weights are hashed once: make a new predictor after training them further.
    name : str
        The name of the registry, or the file's name with a checksum of the weights: an embedding tells by it which
        model made it.

    Raises
    ------
    FileNotFoundError
        For weights of the registry that are not on this computer, with the remedy.
    ValueError
        For an unknown name or precision, a missing or damaged checkpoint file, or a device that is not available.
    """

    def __init__(
        self,
        model: str | PathLike[str] | Sam = "light",
        *,
        device: str | torch.device = "auto",
        weights_folder: str | PathLike[str] | None = None,
        cache: LayeredCache | None = None,
        precision: str = FLOAT32,
    ) -> None:
        target = choose_device(device)
        if isinstance(model, Sam):
            self.name, sam = f"model-{weights_checksum(model)}", model
        else:
            self.name, sam = load_model(model, None if weights_folder is None else Path(weights_folder))
        self.sam = placed(sam.eval(), target)
        self.cache = cache
        self._products = products_of(precision, self.device, self.sam.config.encoder)
        self._takes_either = precision == AUTO
        self._digest: str | None = None
        self._latest: WeakKeyDictionary[ImageEmbedding, ImageDecoder] = WeakKeyDictionary()

    @property
    def device(self) -> torch.device:
        """Where the model is: the device asked for, or the CPU once the device ran out of memory."""
        return self.sam.pixel_mean.device

    @property
    def precision(self) -> str:
        """The precision in which images are encoded here: "float32" or "bfloat16"."""
        return FLOAT32 if self._products is None else BFLOAT16

    @property
    def accepted_precisions(self) -> tuple[str, ...]:
        """Precisions of embeddings that are taken from a cache, that of this predictor first."""
        own = self.precision
        return (own, FLOAT32 if own == BFLOAT16 else BFLOAT16) if self._takes_either else (own,)

    def digest_steps(self) -> Steps[str]:
        """Return a digest of the model's shape, of every weight, and of the precision where that is not float32.

        It is computed when it is first asked for.
        """
        if self._digest is None:
            self._digest = yield from model_digest_steps(self.sam)
        return digest_in(self._digest, self.precision)

    def encode(self, image: ArrayLike, *, contrast_limits: tuple[float, float] | None = None) -> ImageEmbedding:
        """Compute the embedding of an image; see `encode_steps`."""
        return drain(self.encode_steps(image, contrast_limits=contrast_limits))

    def encode_steps(
        self, image: ArrayLike, *, contrast_limits: tuple[float, float] | None = None
    ) -> Steps[ImageEmbedding]:
        """Return the embedding of an image: from the cache, if there is one that has it, or computed.

        See `compute_steps` for the parameters and the errors.

        Yields
        ------
        Progress
            What is looked up, then blocks of the image encoder.

        Returns
        -------
        ImageEmbedding
            What `predict` asks for.
        """
        if self.cache is None:
            return (yield from self.compute_steps(image, contrast_limits=contrast_limits))
        return (yield from self.cache.encode_steps(self, image, contrast_limits=contrast_limits))

    def known_steps(
        self, image: ArrayLike, *, contrast_limits: tuple[float, float] | None = None
    ) -> Steps[ImageEmbedding | None]:
        """Return the embedding of an image if there is a cache that has it, else None: nothing is computed."""
        if self.cache is None:
            return None
        return (yield from self.cache.known_steps(self, image, contrast_limits=contrast_limits))

    def compute_steps(
        self, image: ArrayLike, *, contrast_limits: tuple[float, float] | None = None
    ) -> Steps[ImageEmbedding]:
        """Compute the embedding of an image block by block, whatever is cached.

        Where the device runs out of memory the predictor moves to the CPU for good, starts anew, says so in the
        progress and issues a `DeviceFallbackWarning`.

        Parameters
        ----------
        image : array_like
            (H, W), (H, W, 3) or (H, W, 4), any real type; see `engine.image.model_input`.
        contrast_limits : (float, float), optional
            Intensities that become black and white.

        Yields
        ------
        Progress
            Blocks of the image encoder.

        Returns
        -------
        ImageEmbedding
            What `predict` asks for.

        Raises
        ------
        ValueError
            For an array that is no image, or limits that are not increasing.
        NotEnoughMemoryError
            Where even the CPU has not enough memory.
        """
        yield Progress(0, 0, "Preparing the image")
        config, pixels = self.sam.config, checked_image(image)
        limit = config.enlargement_limit(pixels.shape[:2])
        prepared = model_input(pixels, config.image_size, contrast_limits, max_enlargement=limit)
        features = yield from self._features(prepared)
        return ImageEmbedding(
            features=features.embedding,
            high_resolution=features.high_resolution,
            image_shape=prepared.image_shape,
            input_shape=prepared.shape,
            contrast_limits=prepared.contrast_limits,
            model_name=self.name,
            precision=self.precision,
        )

    def decoder(self, embedding: ImageEmbedding) -> ImageDecoder:
        """Return the mask decoder made ready for an image; that of the latest image is kept while the image is."""
        decoder = self._latest.get(embedding)
        if decoder is None or decoder.sam is not self.sam:
            here = embedding.to(self.device)
            decoder = ImageDecoder(self.sam, ImageFeatures(here.features, here.high_resolution))
            self._latest = WeakKeyDictionary({embedding: decoder})
        return decoder

    def predict(
        self,
        embedding: ImageEmbedding,
        *,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        text: ArrayLike | None = None,
        multimask: bool | None = None,
    ) -> Prediction:
        """Answer a prompt, or a batch of B prompts, with masks ranked by predicted IoU.

        Parameters
        ----------
        embedding : ImageEmbedding
            The image, as `encode` of this model returned it.
        points : array_like, optional
            (N, 2) or (B, N, 2) positions (row, col) in pixels of the image.
        labels : array_like, optional
            (N,) or (B, N): 1 foreground, 0 background; all foreground where not given.
        box : array_like, optional
            (4,) or (B, 4): (row_min, col_min, row_max, col_max) in pixels of the image.
        mask : array_like, optional
            (H, W) bool, or (h, w) low-resolution logits of an earlier prediction; with a leading axis B for a batch.
        text : array_like, optional
            (D,) or (B, D) embedding of words, as `Clip.words` returns it, or of a picture, for a model that was
            trained with words (docs/words.md); points, a box or a mask may be added.
        multimask : bool, optional
            Three masks (True) or one (False); by default three for a single point and one for anything else, as in
            the paper.

        Raises
        ------
        ValueError
            For an embedding of another model, a prompt that does not fit the image, or words where it takes none.
        """
        prompt = Prompt.checked(
            points,
            labels,
            box,
            mask,
            text=text,
            image_shape=embedding.image_shape,
            logits_shape=embedding.logits_shape,
        )
        return self.answer(embedding, prompt, multimask=multimask)

    @torch.inference_mode()
    def answer(self, embedding: ImageEmbedding, prompt: Prompt, *, multimask: bool | None = None) -> Prediction:
        """Answer a prompt that is already checked; otherwise as `predict`.

        Raises
        ------
        ValueError
            For an embedding of another model, or a prompt for an image of another size.
        """
        self._check(embedding, prompt)
        with self._enough_memory():
            arrays = self._ranked(embedding, *self._decode(embedding, prompt, multimask))
        if prompt.batch_size is None:
            arrays = tuple(array[0] for array in arrays)
        return Prediction(*arrays)

    @torch.inference_mode()
    def answer_in_logits(
        self, embedding: ImageEmbedding, prompt: Prompt, *, multimask: bool | None = None
    ) -> LogitsPrediction:
        """Answer as `answer` does, but in low-resolution logits alone: the quick part, and small for many prompts."""
        self._check(embedding, prompt)
        with self._enough_memory():
            logits, iou = _best_first(*self._decode(embedding, prompt, multimask))
        arrays = logits.float().cpu().numpy(), iou.float().cpu().numpy()
        return LogitsPrediction(*arrays) if prompt.batch_size else LogitsPrediction(arrays[0][0], arrays[1][0])

    @contextmanager
    def _enough_memory(self) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise NotEnoughMemoryError(_remedy(self.device, "answer this prompt")) from error

    # The decorator enters and leaves inference mode at each step, so that the thread which drives the generator
    # keeps its own mode in between.
    @torch.inference_mode()
    def _features(self, prepared: ModelInput) -> Steps[ImageFeatures]:
        try:
            return (yield from _encode(self.sam, prepared, "Computing the image embedding", self._products))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if self.device.type == "cpu":
                raise NotEnoughMemoryError(_remedy(self.device, "encode this image")) from error
        # Outside of the except clause, where the error no longer keeps the device's tensors alive.
        note = f"{self.device.type.upper()} is out of memory: computing the image embedding on the CPU"
        warnings.warn(f"{note}, and so from now on", DeviceFallbackWarning, stacklevel=2)
        self.sam, self._products = copy_on_cpu(self.sam), None
        yield Progress(0, 0, note)
        try:
            return (yield from _encode(self.sam, prepared, note, None))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise NotEnoughMemoryError(_remedy(self.device, "encode this image")) from error

    def _check(self, embedding: ImageEmbedding, prompt: Prompt) -> None:
        if embedding.model_name != self.name:
            raise ValueError(
                f"the embedding was made by {embedding.model_name} and this predictor is {self.name}; "
                "encode the image with this predictor"
            )
        if prompt.image_shape != embedding.image_shape:
            raise ValueError(
                f"the prompt is for an image of {prompt.image_shape} pixels and the embedding of one of "
                f"{embedding.image_shape}; give the prompt for this image"
            )
        if prompt.text is not None:
            check_words(self.name, self.sam.config.text_embed_dim, prompt.text.shape[-1])

    def _decode(self, embedding: ImageEmbedding, prompt: Prompt, multimask: bool | None) -> tuple[Tensor, Tensor]:
        """Return low-resolution logits (B, C, h, w) and predicted IoU (B, C), B = 1 for a single prompt."""
        device = self.device
        multimask = prompt.is_ambiguous if multimask is None else multimask
        points, boxes = prompt.model_points(embedding.input_shape), prompt.model_boxes(embedding.input_shape)
        labels = None if prompt.labels is None else prompt.labels.reshape(-1, prompt.labels.shape[-1])
        masks = mask_logits(prompt, embedding.input_shape, embedding.logits_shape)
        text = None if prompt.text is None else prompt.text.reshape(-1, prompt.text.shape[-1])
        decoder = self.decoder(embedding)
        parts = [
            decoder.decode(
                points=_tensor(points, part, device),
                labels=_tensor(labels, part, device),
                boxes=_tensor(boxes, part, device),
                masks=_tensor(masks, part, device),
                text=_tensor(text, part, device),
                multimask=multimask,
            )
            for part in _parts(prompt.batch_size or 1)
        ]
        return torch.cat([logits for logits, _ in parts]), torch.cat([iou for _, iou in parts])

    def _ranked(
        self, embedding: ImageEmbedding, logits: Tensor, iou: Tensor
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return masks, predicted IoU, stability score and logits, each with the axes (B, C), best first."""
        logits, iou = _best_first(logits, iou)
        masks, stability = full_size_masks(self.sam, logits, embedding.input_shape, embedding.image_shape)
        return masks, iou.float().cpu().numpy(), stability, logits.float().cpu().numpy()


def _best_first(logits: Tensor, iou: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits (B, C, h, w) and predicted IoU (B, C) ordered by the latter."""
    order = torch.argsort(iou, dim=1, descending=True, stable=True)
    return torch.gather(logits, 1, order[..., None, None].expand_as(logits)), torch.gather(iou, 1, order)


def _encode(sam: Sam, prepared: ModelInput, note: str, products: torch.dtype | None) -> Steps[ImageFeatures]:
    device = sam.pixel_mean.device
    pixels = torch.from_numpy(prepared.pixels).to(device).permute(2, 0, 1)[None]
    blocks = sam.encode_steps(sam.preprocess(pixels), products=products)
    return (yield from relabelled(blocks, lambda block: Progress(*block, note)))


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, _PROMPTS_AT_A_TIME):
        yield slice(start, start + _PROMPTS_AT_A_TIME)


def _tensor(array: NDArray[np.generic] | None, part: slice, device: torch.device) -> Tensor | None:
    return None if array is None else torch.tensor(array[part], device=device)


def _remedy(device: torch.device, task: str) -> str:
    return (
        f"there is not enough memory on {device.type.upper()} to {task}; use a smaller model (for example 'light'), "
        "close other programs, or work on a part of the image"
    )
