"""Prompts on a plane that is too large to be encoded as a whole."""

import numpy as np

from napari_segany.engine.progress import drain
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.engine.tiling import SHOWN_SIDE, tile_plan
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.session_steps import SavedPixels
from napari_segany.widgets.drafts import Prompts
from napari_segany.widgets.large_planes import window_candidate_steps
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession

SIDE = 10_000


def test_the_first_mask_comes_from_one_window(viewer, tiles):
    image = viewer.add_image(np.zeros((SIDE, SIDE), np.uint8), contrast_limits=(0, 255))
    predictor = tiles.ComponentPredictor(side=1024)
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    rows, cols = np.indices((81, 81)) - 40
    image.data[6960:7041, 5960:6041] = np.where(np.hypot(rows, cols) <= 40, 200, 0)
    session.choose_image(image)
    viewer.scene.camera.zoom = 1
    session.add_point((7000, 6000))
    assert predictor.encoded == [(1024, 1024)]
    (mask,) = session.candidates
    assert mask.mask.shape == (SIDE, SIDE)
    np.testing.assert_array_equal(np.argwhere(mask.mask).mean(axis=0), (7000, 6000))
    assert mask.mask.sum() == (image.data > 0).sum()
    session.add_point((7005, 6000))  # the window is there
    assert len(predictor.encoded) == 1


def test_levels_of_a_multiscale_image_are_read_in_windows(viewer, tiles):
    image = viewer.add_image([np.zeros((6000, 5000), np.uint8), np.zeros((3000, 2500), np.uint8)], multiscale=True)
    image.data[0][2000:2100, 2000:2100] = 99
    predictor = tiles.ComponentPredictor(side=1024)
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    session.choose_image(image)
    viewer.scene.camera.zoom = 1
    session.add_point((2050, 2050))
    assert predictor.encoded == [(1024, 1024)]
    assert session.candidates[0].mask.sum() == 100 * 100
    assert session.accept() == 1
    assert (session.objects.layer.data == 1).sum() == 100 * 100
    (step,) = drain(session._work.log.saved_steps()).steps
    assert isinstance(step, SavedPixels), "replay would ask about the whole image at once"


def test_the_thumbnail_of_a_large_object_is_read_from_a_coarser_level(tiles, discs):
    whole = np.full((3000, 2600), 20, np.uint8)
    disc = discs.disc_mask(whole.shape, 1500, 1300, 500)
    whole[disc] = 200
    levels = [tiles.CountingArray(whole[:: 1 << number, :: 1 << number]) for number in range(5)]
    image = LazyImage(tuple(levels))
    embedding = TiledEmbedding(image, tile_plan(whole.shape, 512), (0, 255))
    steps = window_candidate_steps(
        tiles.ComponentPredictor(side=512), embedding, Prompts(points=((1500, 1300),), labels=(1,))
    )
    (found,) = drain(steps)
    assert (found.mask & disc).sum() / (found.mask | disc).sum() > 0.99
    encoded = [window.shape for window in embedding.ready]
    thumbnails = [shape for level in levels for shape in level.read if shape not in encoded]
    assert len(thumbnails) == 1
    assert max(thumbnails[0]) <= SHOWN_SIDE
    assert max((np.prod(shape) for level in levels for shape in level.read), default=0) <= 512 * 512
    inside = found.outline
    assert 0.2 < inside.mean() < 0.35, "a disc fills pi / 4 of its box, and the box 1 / 1.7 of the side"
    assert (found.thumbnail[inside] > 100).mean() > 0.97
    assert (found.thumbnail[~inside] < 100).mean() > 0.97
