"""The boxes of a detector as masks: asked once, then once more with the best answer fed back.

Kirillov et al. 2023 (arXiv:2304.02643), appendix D.4: the most confident mask goes back into the decoder, together
with its box.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from napari_segany.engine.batch.detection import BatchObject, Detection
from napari_segany.engine.device import NotEnoughMemoryError, is_out_of_memory
from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.records import records_of
from napari_segany.model import ImageFeatures

_BOXES_AT_A_TIME = 16
_PIXELS_AT_A_TIME = 64_000_000  # of the masks that are held at the size of the image


def box_mask_steps(
    predictor: Predictor,
    image: NDArray[np.generic],
    detections: Sequence[Detection],
    *,
    contrast_limits: tuple[float, float] | None = None,
) -> Steps[list[BatchObject]]:
    """Return a mask for every box, in their order; boxes without a pixel of the image are left out.

    Parameters
    ----------
    predictor : Predictor
        The model.
    image : numpy.ndarray
        (H, W) or (H, W, 3).
    detections : sequence of Detection
        The boxes.
    contrast_limits : (float, float), optional
        Intensities that become black and white.

    Yields
    ------
    Progress
        Blocks of the image encoder, then boxes.

    Raises
    ------
    ValueError
        For an array that is no image.
    NotEnoughMemoryError
        Where the device has not enough memory.
    """
    shape = (image.shape[0], image.shape[1])
    pairs = [(item, box) for item in detections if (box := item.prompt_box(shape)) is not None]
    if not pairs:
        return []
    embedding = yield from predictor.encode_steps(image, contrast_limits=contrast_limits)
    size = max(1, min(_BOXES_AT_A_TIME, _PIXELS_AT_A_TIME // (shape[0] * shape[1])))
    found: list[BatchObject] = []
    for start in range(0, len(pairs), size):
        yield Progress(start, len(pairs), "Asking the boxes")
        part = pairs[start : start + size]
        prompt = Prompt.checked(box=np.array([box for _, box in part]), image_shape=shape)
        first = _best_logits(predictor, embedding, prompt)
        again = Prompt.checked(box=prompt.box, mask=first, image_shape=shape, logits_shape=embedding.logits_shape)
        records = records_of(predictor.answer(embedding, again, multimask=False), again)
        found += [
            BatchObject(record, item.class_id, item.score) for record, (item, _) in zip(records, part, strict=True)
        ]
    yield Progress(len(pairs), len(pairs), "All boxes are asked")
    return found


@torch.inference_mode()
def _best_logits(predictor: Predictor, embedding: ImageEmbedding, prompt: Prompt) -> NDArray[np.float32]:
    """Return (B, h, w), the low-resolution logits of the most confident of three masks for each box."""
    device = predictor.device
    features = ImageFeatures(
        embedding.features.to(device), tuple(tensor.to(device) for tensor in embedding.high_resolution)
    )
    try:
        logits, iou = predictor.sam.decode(  # (B, 3, h, w), (B, 3)
            features, boxes=torch.tensor(prompt.model_boxes(embedding.input_shape), device=device), multimask=True
        )
        best: NDArray[np.float32] = logits[torch.arange(len(iou)), iou.argmax(dim=1)].float().cpu().numpy()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise NotEnoughMemoryError(
            f"there is not enough memory on {device.type.upper()} for {prompt.batch_size} boxes at once; "
            "use a smaller model"
        ) from error
    return best
