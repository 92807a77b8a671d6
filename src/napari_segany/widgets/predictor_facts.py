"""What a session's file tells of the model that answered. Knows no napari and no Qt, and imports no torch."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from napari_segany.engine.precision_names import FLOAT32, digest_in
from napari_segany.engine.progress import Steps, drain


@runtime_checkable
class Digestible(Protocol):
    """A predictor that can tell its weights from others, as `engine.predictor.Predictor` can."""

    def digest_steps(self) -> Steps[str]:
        """Return a digest of the weights; computed when it is first asked for, then remembered."""


def weights_digest(predictor: object) -> str:
    """Return the digest of a predictor's weights, whatever its precision; "" for one that has none."""
    return digest_in(drain(predictor.digest_steps()), FLOAT32) if isinstance(predictor, Digestible) else ""


def precision_of(predictor: object, embedding: object) -> str:
    """Return the precision that an embedding was computed in: that of its predictor where it does not say."""
    own = getattr(predictor, "precision", FLOAT32)
    return str(getattr(embedding, "precision", own))


def is_rounded(predictor: object, embedding: object) -> bool:
    """Return whether a predictor's embedding is as the cache on the disk keeps it: in half precision."""
    if getattr(getattr(predictor, "cache", None), "disk", None) is not None:
        return True
    features = getattr(embedding, "features", None)
    if features is None:
        return False
    first = features.reshape(-1)[: 1 << 16]  # a computed one has other values throughout
    return bool((first.half().to(first.dtype) == first).all())
