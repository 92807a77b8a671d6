"""What is looked for in words, as a frozen value. Knows no model."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_CLIP = "openai/clip-vit-base-patch32"
"""The smallest of the published ones: 151 million weights, 0.6 GB."""

LARGE_CLIP = "openai/clip-vit-large-patch14-336"
"""The largest: 428 million weights, 1.7 GB; the one of the SAM paper."""

DOWNLOAD_GB = {DEFAULT_CLIP: 0.6, LARGE_CLIP: 1.7}
"""How much is fetched for a public model, in GB."""

BACKGROUND = ("background", "texture", "a blurry image")


def download_size(model: str) -> str:
    """Return how much is fetched for a public model, such as "0.6 GB"."""
    return f"{DOWNLOAD_GB[model]:g} GB" if model in DOWNLOAD_GB else "of unknown size"


@dataclass(frozen=True)
class TextQuery:
    """What is looked for.

    Attributes
    ----------
    words : tuple of str
        One or several descriptions of it.
    threshold : float
        Least probability of a mask that is kept, 0 to 1.
    background : tuple of str
        Descriptions of everything else, which compete with the words.
    model : str
        A folder with a CLIP, or the name of a public one.

    Raises
    ------
    ValueError
        For no words, or a threshold out of its range.
    """

    words: tuple[str, ...]
    threshold: float = 0.5
    background: tuple[str, ...] = BACKGROUND
    model: str = DEFAULT_CLIP

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.words or not all(word.strip() for word in self.words):
            raise ValueError("there are no words to look for; give some, as in 'a nucleus'")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"the threshold is {self.threshold}; give a probability from 0 to 1")

    @property
    def texts(self) -> tuple[str, ...]:
        """The words, and then what competes with them."""
        return (*self.words, *self.background)
