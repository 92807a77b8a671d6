"""A loader of predictors that remembers the last one, for those who share it. Knows no Qt and imports no torch."""

from __future__ import annotations

from typing import Any

from napari_segany.widgets.embedder import LoadPredictor


class RememberingLoader:
    """Makes predictors, the same one again for the same model and device.

    Parameters
    ----------
    load : callable
        Makes a predictor from the names of a model and a device.
    """

    def __init__(self, load: LoadPredictor) -> None:
        self._load = load
        self._last: tuple[tuple[str, str], Any] | None = None
        self._hash = ""

    def __call__(self, model: str, device: str) -> Any:
        """Return the predictor; errors are those of the loader.

        Called in the background, as it takes long: so the weights are hashed here, which takes a second for a large
        model, and not when they are asked for in the middle of the work.
        """
        if self._last is None or self._last[0] != (model, device):
            predictor = self._load(model, device)
            self._last, self._hash = ((model, device), predictor), _hash_of(predictor)
        return self._last[1]

    def weights(self) -> str:
        """Return the hash of the last predictor's weights; "" before one is loaded, or without weights."""
        return self._hash


def _hash_of(predictor: Any) -> str:
    sam = getattr(predictor, "sam", None)
    if sam is None:
        return ""
    from napari_segany.engine.loaded_model import weights_hash

    return weights_hash(sam)
