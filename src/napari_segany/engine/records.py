"""What the model answered, as records that can be kept and saved."""

from __future__ import annotations

from napari_segany.engine.prediction import Prediction
from napari_segany.engine.prompts import Prompt
from napari_segany.formats.record import MaskRecord


def records_of(prediction: Prediction, prompt: Prompt) -> list[MaskRecord]:
    """Return one record per mask, best first; those of a batch one prompt after the other.

    Parameters
    ----------
    prediction : Prediction
        The answer.
    prompt : Prompt
        What was asked; each record keeps its own.

    Raises
    ------
    ValueError
        For a prompt that is not the one of this prediction: another image, or another number of prompts.
    """
    is_batch = prediction.masks.ndim == 4
    size = len(prediction.masks) if is_batch else None
    if prediction.masks.shape[-2:] != prompt.image_shape or size != prompt.batch_size:
        raise ValueError(
            f"the prediction's masks have the shape {prediction.masks.shape} and the prompt is for an image of "
            f"{prompt.image_shape} with the batch axis {prompt.batch_size}; give the prompt of this prediction"
        )
    height, width = prompt.image_shape
    masks = prediction.masks.reshape(-1, height, width)
    prompts = [single.to_dict() for single in prompt.items()]
    per_prompt = len(masks) // len(prompts)
    return [
        MaskRecord.from_mask(
            mask,
            predicted_iou=float(prediction.predicted_iou.flat[index]),
            stability_score=float(prediction.stability_score.flat[index]),
            prompt=prompts[index // per_prompt],
        )
        for index, mask in enumerate(masks)
    ]
