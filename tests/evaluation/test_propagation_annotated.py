"""Annotated stacks: which objects are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segany.evaluation.propagation_annotated import annotated_stack


def test_objects_on_few_slices_or_of_few_pixels_are_there_but_not_asked_for():
    labels = np.zeros((5, 32, 32), np.uint16)
    labels[:, 0:6, 0:6] = 1
    labels[:2, 10:16, 10:16] = 2
    labels[:, 20:23, 20:23] = 3
    stack = annotated_stack(np.zeros((5, 32, 32), np.uint8), labels, kind="bodies")
    assert dict(stack.kinds) == {1: "bodies"}
    assert stack.roots == (1,)
    assert set(np.unique(stack.labels).tolist()) == {0, 1, 2, 3}


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="give \\(Z, H, W\\) twice"):
        annotated_stack(np.zeros((5, 32, 32)), np.zeros((5, 32, 30), int), kind="bodies")
    with pytest.raises(ValueError, match="no object"):
        annotated_stack(np.zeros((5, 32, 32)), np.zeros((5, 32, 32), int), kind="bodies")
