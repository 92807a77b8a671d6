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
        """Return the predictor; errors are those of the loader."""
        if self._last is None or self._last[0] != (model, device):
            self._last, self._hash = ((model, device), self._load(model, device)), ""
        return self._last[1]

    def weights(self) -> str:
        """Return the hash of the last predictor's weights; "" before one is loaded, or without weights."""
        sam = None if self._last is None else getattr(self._last[1], "sam", None)
        if sam is None:
            return ""
        if not self._hash:
            from napari_segany.engine.loaded_model import weights_hash

            self._hash = weights_hash(sam)
        return self._hash
