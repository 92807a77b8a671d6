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
    from napari_segany.engine.cache_places import CachePlaces
    from napari_segany.engine.embedding import ImageEmbedding
    from napari_segany.engine.mask_cleaning import CleanUp
    from napari_segany.engine.object_overlap import put_object
    from napari_segany.engine.one_each import one_each, put_each
    from napari_segany.engine.prediction import Prediction
    from napari_segany.engine.predictor import Predictor
    from napari_segany.engine.replay import image_digest
    from napari_segany.formats.image_file import read_array
    from napari_segany.formats.labels import to_labels, write_label_tiff
    from napari_segany.formats.record import MaskRecord
    from napari_segany.formats.rle import RunLengths
    from napari_segany.formats.sample_images import sample_image

__version__ = "0.1.0"

_HOME_OF = {
    "AutomaticMaskGenerator": "napari_segany.engine.automatic",
    "AutomaticSettings": "napari_segany.engine.automatic_settings",
    "CachePlaces": "napari_segany.engine.cache_places",
    "CleanUp": "napari_segany.engine.mask_cleaning",
    "ImageEmbedding": "napari_segany.engine.embedding",
    "MaskRecord": "napari_segany.formats.record",
    "Prediction": "napari_segany.engine.prediction",
    "Predictor": "napari_segany.engine.predictor",
    "RunLengths": "napari_segany.formats.rle",
    "image_digest": "napari_segany.engine.replay",
    "one_each": "napari_segany.engine.one_each",
    "put_each": "napari_segany.engine.one_each",
    "put_object": "napari_segany.engine.object_overlap",
    "read_array": "napari_segany.formats.image_file",
    "sample_image": "napari_segany.formats.sample_images",
    "to_labels": "napari_segany.formats.labels",
    "write_label_tiff": "napari_segany.formats.labels",
}

__all__ = [
    "AutomaticMaskGenerator",
    "AutomaticSettings",
    "CachePlaces",
    "CleanUp",
    "ImageEmbedding",
    "MaskRecord",
    "Prediction",
    "Predictor",
    "RunLengths",
    "__version__",
    "image_digest",
    "one_each",
    "put_each",
    "put_object",
    "read_array",
    "sample_image",
    "to_labels",
    "write_label_tiff",
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
