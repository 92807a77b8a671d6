"""Pictures of docks that need a folder or a model made first; `make_pictures.py` takes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from napari import Viewer
from skimage import data, io

from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.automatic_presets import preset
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.formats.sa1b import write_sa1b
from napari_segany.training.small_clip import named_pictures, small_clip, teach_clip_steps
from napari_segany.training.synthetic.named_shapes import COLOURS, NamedImage, named_shapes
from napari_segany.widgets.demo import settle, wait_for_masks
from napari_segany.widgets.section import Section
from napari_segany.widgets.vertical_scroll import VerticalScroll

SEED = 4
FRAMES = 12
A_COIN, ANOTHER_COIN = (32.0, 122.0), (84.0, 103.0, 126.0, 145.0)
"""A click and a box on the frame in the middle."""


def wait_until(is_so: Callable[[], bool], timeout_s: float = 600.0) -> None:
    """Let the window work until something is so.

    Raises
    ------
    SystemExit
        If it does not come to that.
    """
    end = time.monotonic() + timeout_s
    while not is_so():
        settle(0.1)
        if time.monotonic() > end:
            raise SystemExit(f"not ready after {timeout_s:g} s")


def stack(path: Path) -> None:
    """Show two coins that a camera passes over, marked in one frame and carried through all of them."""
    viewer = Viewer(show=True, show_welcome_screen=False)
    try:
        viewer.window.resize(1300, 900)
        coins = data.coins()
        movie = np.stack([coins[20:180, left : left + 230] for left in range(0, 5 * FRAMES, 5)])
        viewer.add_image(movie, name="coins in time", units=("s", "pixel", "pixel"), axis_labels=("t", "y", "x"))
        viewer.dims.set_current_step(0, FRAMES // 2)
        _, widget = viewer.window.add_plugin_dock_widget("napari-segany", "Prompt segmentation")
        session = widget.session
        wait_until(lambda: session.embedding_state.phase == "ready")
        session.add_point(A_COIN)
        wait_for_masks(session)
        session.accept()
        session.add_box(ANOTHER_COIN)
        wait_for_masks(session)
        session.accept()
        session.editor.select(session.editor.labels)
        session.stack.propagate()
        wait_until(lambda: not session.stack.state.is_working)
        session.editor.select(())
        for section in widget.findChildren(Section):
            section.expand(animate=False) if section.text() == "Stack" else section.collapse(animate=False)
        settle(1.0)
        widget.findChild(VerticalScroll).ensureWidgetVisible(widget.stack_section)
        viewer.reset_view()
        settle(1.0)
        viewer.window.screenshot(str(path), flash=False)
    finally:
        viewer.close()


def data_engine(path: Path) -> None:
    """Show a folder under annotation: a mask filled in, and one clicked by a person."""
    coins = data.coins()
    viewer = Viewer(show=True, show_welcome_screen=False)
    with TemporaryDirectory() as folder:
        for number, left in enumerate((0, 95, 190), 1):
            io.imsave(Path(folder) / f"coins_{number}.png", coins[20:165, left : left + 190], check_contrast=False)
        try:
            viewer.window.resize(1300, 950)
            _, widget = viewer.window.add_plugin_dock_widget("napari-segany", "Data engine")
            session, prompts = widget.session, widget.prompts.session
            session.open(Path(folder))
            wait_until(lambda: prompts.embedding_state.phase == "ready")
            session.fill_in()
            wait_until(lambda: session.progress is None)
            prompts.add_point((106.0, 46.0))
            wait_for_masks(prompts)
            viewer.reset_view()
            settle(1.0)
            viewer.window.screenshot(str(path), flash=False)
        finally:
            viewer.close()


def review_masks(path: Path) -> None:
    """Show a mask to be rated, zoomed in on."""
    coins = data.coins()
    predictor = Predictor("light", device="cpu")
    settings = preset("light").settings.replaced(points_per_side=16)
    records = AutomaticMaskGenerator(predictor, settings).generate(coins)
    viewer = Viewer(show=True, show_welcome_screen=False)
    with TemporaryDirectory() as folder:
        masks = Path(folder) / "masks"
        masks.mkdir()
        io.imsave(masks / "sa_1.jpg", coins, check_contrast=False)
        write_sa1b(masks / "sa_1.json", records, file_name="sa_1.jpg", size=coins.shape)
        try:
            viewer.window.resize(1200, 760)
            _, widget = viewer.window.add_plugin_dock_widget("napari-segany", "Review masks")
            settle(0.5)
            widget.session.open({"masks": masks}, Path(folder) / "ratings.csv", seed=SEED)
            for rating in (9, 7):
                widget.session.rate(rating)
            widget.session.choose_view("zoomed")
            settle(1.0)
            viewer.window.screenshot(str(path), flash=False)
        finally:
            viewer.close()


def everything_words(path: Path) -> None:
    """Show words choosing among drawn shapes, by a small CLIP that was taught their colours a minute before."""
    drawn = [named_shapes(128, np.random.default_rng((SEED, number))).scene for number in range(6)]
    scenes = [np.where(one.layers[0][..., None] > 0, one.image, 90) for one in drawn]
    image = np.concatenate([np.concatenate(scenes[start : start + 3], axis=1) for start in (0, 3)]).astype(np.uint8)
    viewer = Viewer(show=True, show_welcome_screen=False)
    with TemporaryDirectory() as folder:
        names = {colour: f"a {colour} shape" for colour in COLOURS}
        small_clip(["a", "shape", *names], folder)
        pictures, called = named_pictures([NamedImage(1, number, size=128) for number in range(300)])
        drain(teach_clip_steps(folder, pictures, [names[name.split()[1]] for name in called], steps=150))
        try:
            viewer.window.resize(1300, 950)
            viewer.add_image(image, name="shapes")
            _, widget = viewer.window.add_plugin_dock_widget("napari-segany", "Segment everything")
            session = widget.session
            wait_until(lambda: not session.is_busy)
            session.choose_preset("light")
            session.change(max_mask_area_fraction=0.1, points_per_side=16)
            session.run()
            wait_until(lambda: not session.is_busy)
            others = [name for colour, name in names.items() if colour not in ("red", "blue")]
            session.words.look_for(names["red"], names["blue"], background=others, model=folder)
            wait_until(lambda: not session.is_busy and not session.words.is_busy)
            panel = widget.words_panel
            panel.background_line.setText(", ".join(others))
            panel.folder_row.line.setText("small_clip")  # and not a folder of this machine
            (section,) = [one for one in widget.findChildren(Section) if one.text() == "Words"]
            section.expand(animate=False)
            session.layer.contour = 2
            settle(1.0)
            viewer.reset_view()
            widget.findChild(VerticalScroll).ensureWidgetVisible(panel)
            settle(1.0)
            viewer.window.screenshot(str(path), flash=False)
        finally:
            viewer.close()
