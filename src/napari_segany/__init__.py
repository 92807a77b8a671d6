"""Segment Anything for napari: the scripting names, loaded on first use.

Importing this package pulls in neither torch nor Qt nor napari; each name below imports its module when it is
first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_segany.engine.automatic import AutomaticMaskGenerator
    from napari_segany.engine.automatic_settings import AutomaticSettings
    from napari_segany.engine.embedding import ImageEmbedding
    from napari_segany.engine.prediction import Prediction
    from napari_segany.engine.predictor import Predictor
    from napari_segany.formats.labels import to_labels
    from napari_segany.formats.record import MaskRecord

__version__ = "0.1.0"

_HOME_OF = {
    "AutomaticMaskGenerator": "napari_segany.engine.automatic",
    "AutomaticSettings": "napari_segany.engine.automatic_settings",
    "ImageEmbedding": "napari_segany.engine.embedding",
    "MaskRecord": "napari_segany.formats.record",
    "Prediction": "napari_segany.engine.prediction",
    "Predictor": "napari_segany.engine.predictor",
    "to_labels": "napari_segany.formats.labels",
}

__all__ = [
    "AutomaticMaskGenerator",
    "AutomaticSettings",
    "ImageEmbedding",
    "MaskRecord",
    "Prediction",
    "Predictor",
    "__version__",
    "to_labels",
]


def __getattr__(name: str) -> Any:
    """Import a scripting name from its module on first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the scripting names, loaded or not."""
    return sorted(set(globals()) | set(__all__))
