"""What a predicted mask costs: focal loss, dice loss and the error of its predicted IoU. Knows no model.

SAM paper, appendix A (doi:10.1109/ICCV51070.2023.00371). All losses come per mask, so that the lowest of several can
be chosen before averaging.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

FOCAL_ALPHA = 0.25
FOCAL_GAMMA = 2.0


def focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the focal loss (doi:10.1109/ICCV.2017.324), averaged over the pixels of each mask.

    Parameters
    ----------
    logits : Tensor
        (..., h, w).
    targets : Tensor
        (..., h, w) of 0 and 1, of a shape that broadcasts to that of the logits.

    Returns
    -------
    Tensor
        (...).
    """
    targets = targets.expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = logits.sigmoid()
    missing = probability + targets - 2 * probability * targets  # 1 - p of the true class
    alpha = FOCAL_ALPHA * targets + (1 - FOCAL_ALPHA) * (1 - targets)
    return (alpha * missing.pow(FOCAL_GAMMA) * entropy).mean(dim=(-2, -1))


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return one minus the dice coefficient of probabilities and targets, smoothed by one pixel, of each mask.

    Parameters and shapes are those of `focal_loss`.
    """
    probability = logits.sigmoid()
    overlap = (probability * targets).sum(dim=(-2, -1))
    total = probability.sum(dim=(-2, -1)) + targets.sum(dim=(-2, -1))
    return 1 - (2 * overlap + 1) / (total + 1)


def mask_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the IoU of the masks above 0 with the targets; two empty masks agree.

    Parameters and shapes are those of `focal_loss`.
    """
    predicted, truth = logits > 0, targets > 0.5
    intersection = (predicted & truth).sum(dim=(-2, -1))
    union = (predicted | truth).sum(dim=(-2, -1))
    return (intersection / union.clamp(min=1)).where(union > 0, 1.0)
