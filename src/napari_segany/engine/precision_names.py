"""The names of precisions, and how a model's digest tells them apart. Imports no torch.

What is computed in float32 has the digest of the weights alone, as it had before there was a choice.
"""

from __future__ import annotations

FLOAT32, BFLOAT16, AUTO = "float32", "bfloat16", "auto"
PRECISIONS = (FLOAT32, BFLOAT16, AUTO)

_SUFFIX = f"-torch.{BFLOAT16}"


def checked_precision(precision: str) -> str:
    """Return the name of a precision.

    Raises
    ------
    ValueError
        For another one.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"the precision is {precision!r}; known are {', '.join(PRECISIONS)}")
    return precision


def digest_in(digest: str, precision: str) -> str:
    """Return a model's digest, whatever precision it was of, as it is in another one.

    Parameters
    ----------
    digest : str
        What tells a model from others.
    precision : str
        "float32" or "bfloat16".
    """
    plain = digest.removesuffix(_SUFFIX)
    return plain + _SUFFIX if precision == BFLOAT16 else plain


def digest_precision(digest: str) -> str:
    """Return the precision that a model's digest is of: "float32" or "bfloat16"."""
    return BFLOAT16 if digest.endswith(_SUFFIX) else FLOAT32
