"""The sample images by name, from scikit-image's wheel: nothing is downloaded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES = ("immunohistochemistry", "cell", "coins")
"""Brown nuclei and blue tissue, (512, 512, 3); a floating cell, (660, 550); Greek coins, (303, 384). All uint8."""


def sample_image(name: str) -> NDArray[np.generic]:
    """Return a sample image by its name, one of `SAMPLES`.

    Raises
    ------
    ValueError
        For another name.
    """
    if name not in SAMPLES:
        raise ValueError(f"there is no sample image {name!r}; there are {', '.join(SAMPLES)}")
    from skimage import data

    image: Any = getattr(data, name)()
    return np.asarray(image)
