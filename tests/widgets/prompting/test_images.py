"""Stacks, colours, contrast and pyramids: what is encoded and asked about, with a viewer model and without Qt."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image
from tests.widgets.prompting.scene import FLAT, STACK, visible_masks

from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession


def test_slices_have_drafts_of_their_own_and_going_back_costs_nothing(stack, viewer, predictor):
    assert stack.plane.index == (2,)
    stack.add_point((10, 20))
    viewer.dims.set_current_step(0, 4)
    assert stack.candidates == ()
    assert visible_masks(viewer) == []
    assert not stack.prompts
    stack.add_point((5, 5))
    assert predictor.asked[-1]["of"] == 2
    assert [int(image.mean()) for image in predictor.encoded] == [2, 4]
    viewer.dims.set_current_step(0, 2)
    assert stack.prompts.points == ((10.0, 20.0),)
    assert len(stack.candidates) == 3
    assert visible_masks(viewer) == ["mask 1"]
    assert len(predictor.encoded) == 2
    stack.accept()
    viewer.dims.set_current_step(0, 4)
    assert len(stack.candidates) == 3
    stack.accept()
    objects = viewer.layers["objects"].data
    assert [np.unique(objects[index]).tolist() for index in (2, 3, 4)] == [[0, 1], [0], [0, 2]]


def test_the_preview_lies_on_its_slice_in_the_world(stack, viewer):
    viewer.layers["stack"].scale = (3.0, 2.0, 0.5)
    viewer.layers["stack"].rotate = (0, 0, 20)
    stack.add_point((10, 20))
    preview, image = viewer.layers["mask 1"], viewer.layers["stack"]
    (index,) = stack.plane.index
    assert preview.data.shape == (1, 40, 50)
    np.testing.assert_allclose(preview.data_to_world((0, 10, 20)), image.data_to_world((index, 10, 20)))
    image.translate = (0.0, 8.0, 9.0)
    np.testing.assert_allclose(preview.data_to_world((0, 10, 20)), image.data_to_world((index, 10, 20)))
    stack.accept()
    np.testing.assert_allclose(viewer.layers["objects"].data_to_world((2, 1, 1)), image.data_to_world((2, 1, 1)))


def test_contrast_is_part_of_the_embedding_and_recomputed_with_the_next_prompt(stack, viewer, predictor):
    assert predictor.limits == [(0.0, 5.0)]
    for high in (6, 7, 8):
        viewer.layers["stack"].contrast_limits = (0, high)
    assert stack.embedding_is_stale
    assert "contrast has changed" in stack.status
    assert len(predictor.encoded) == 1
    stack.add_point((10, 20))
    assert predictor.limits == [(0.0, 5.0), (0.0, 8.0)]
    assert not stack.embedding_is_stale
    assert len(stack.candidates) == 3


def test_rgb_has_no_limits_and_keeps_its_channels(session, viewer, predictor):
    session.choose_image(viewer.add_image(np.zeros((40, 50, 3), np.uint8), rgb=True))
    session.add_point((10, 20))
    assert predictor.limits == [None]
    assert predictor.encoded[0].shape == (40, 50, 3)
    session.accept()
    assert session.objects.layer.data.shape == (40, 50)


def test_multiscale_is_asked_at_full_resolution(session, viewer, predictor):
    pyramid = [FLAT, FLAT[::2, ::2]]
    session.choose_image(viewer.add_image(pyramid, multiscale=True))
    session.add_point((30, 40))
    assert predictor.encoded[0].shape == FLAT.shape
    session.accept()
    assert session.objects.layer.data[30, 40] == 1


def test_three_dimensional_view_disables_prompting(stack, viewer):
    stack.choose_tool("points")
    viewer.dims.ndisplay = 3
    assert stack.plane is None
    assert "2-D view" in stack.status
    assert stack.prompt_layers.points.mode == "pan_zoom"
    with pytest.raises(ValueError, match="2-D view"):
        stack.add_point((1, 1))
    viewer.dims.ndisplay = 2
    stack.add_point((1, 1))
    assert len(stack.candidates) == 3


def test_the_cache_is_bounded(viewer, predictor):
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor, cache_bytes=2500)
    session.choose_image(viewer.add_image(STACK))
    for index in (0, 1, 2, 0):
        viewer.dims.set_current_step(0, index)
    assert len(predictor.encoded) == 5, "two fit; the slice begun with and slice 0 went"


def test_plugin_proxies_are_unwrapped(viewer, predictor):
    from napari.utils._proxies import PublicOnlyProxy

    session = PromptSession(PublicOnlyProxy(viewer), SynchronousRunner(), lambda model, device: predictor)
    image = viewer.add_image(FLAT)
    session.choose_image(PublicOnlyProxy(image))
    assert session.viewer is viewer
    assert type(session.image) is Image
    session.add_point((1, 1))
    assert len(session.candidates) == 3
