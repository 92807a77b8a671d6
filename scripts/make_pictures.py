"""Make the pictures of the documentation, each from a real session on an image that scikit-image bundles.

    make docs                              # or: xvfb-run -a python scripts/make_pictures.py

Pictures are written to docs/images, and refused when they show nothing: a black screenshot never goes unnoticed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from napari import Viewer
from pictures_of_docks import data_engine, everything_words, review_masks, stack, wait_until
from PIL import Image
from skimage import data

from napari_segany.widgets.batch_session import BatchSession
from napari_segany.widgets.demo import open_demo, settle, wait_for_masks
from napari_segany.widgets.edges_widget import EdgesWidget
from napari_segany.widgets.everything_session import EverythingSession
from napari_segany.widgets.prompt_widget import PromptWidget
from napari_segany.widgets.rasters_widget import RastersWidget
from napari_segany.widgets.section import Section
from napari_segany.widgets.vertical_scroll import VerticalScroll

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
_LEAST_SPREAD = 20.0  # standard deviation of grey levels below which a picture shows nothing


def main() -> None:
    """Make the pictures named on the command line, or all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, take in PICTURES.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        path = FOLDER / name
        take(path)
        spread = float(np.asarray(Image.open(path).convert("L")).std())
        if spread < _LEAST_SPREAD:
            raise SystemExit(f"{name} shows nothing (grey levels spread by {spread:.1f})")
        print(path.relative_to(FOLDER.parents[1]))


def prompt_widget(path: Path) -> None:
    """Show the window after one click: three ranked masks, the best one on the image."""
    viewer, session = open_demo()
    try:
        wait_for_masks(session)
        _zoom(viewer, session.prompts.points[0], 4.0)
        settle(1.0)
        viewer.window.screenshot(str(path), flash=False)
    finally:
        viewer.close()


def candidates(path: Path) -> None:
    """Show the three masks of one click side by side, best first."""
    viewer, session = open_demo()
    try:
        wait_for_masks(session)
        _zoom(viewer, session.prompts.points[0], 6.0)
        views = []
        for index in range(len(session.candidates)):
            session.select_candidate(index)
            settle(0.3)
            views.append(viewer.screenshot(canvas_only=True, flash=False)[..., :3])
        Image.fromarray(np.concatenate(views, axis=1)).save(path)
    finally:
        viewer.close()


def accepted(path: Path) -> None:
    """Show several accepted objects in the layer `objects`."""
    viewer, session = open_demo()
    try:
        wait_for_masks(session)
        session.accept()
        for point in MORE_CLICKS:
            session.add_point(point)
            wait_for_masks(session)
            session.accept()
        _zoom(viewer, (285.0, 335.0), 4.0)
        settle(1.0)
        viewer.window.screenshot(str(path), flash=False)
    finally:
        viewer.close()


def objects_table(path: Path) -> None:
    """Show classes, the table of objects, and similar ones on offer."""
    from skimage import data

    viewer = Viewer(show=True, show_welcome_screen=False)
    try:
        viewer.window.resize(1500, 980)
        tissue = data.immunohistochemistry()[200:400, 200:400]
        viewer.add_image(tissue, name="tissue", scale=(0.5, 0.5), units=("um", "um"))
        _, widget = viewer.window.add_plugin_dock_widget("napari-segany", "Prompt segmentation")
        session = widget.session
        session.classes.add("nucleus")
        session.classes.add("other")
        session.classes.use("nucleus")
        for point in ((161.0, 144.0), (40.0, 106.0), (71.0, 135.0), (91.0, 156.0), (122.0, 179.0)):
            session.add_point(point)
            wait_for_masks(session)
            session.accept()
        session.editor.select(session.editor.labels[:3])
        session.similar.find()
        wait_until(lambda: session.similar.answer is not None)
        widget.table_dock.open()
        wait_until(lambda: not session.table.is_measuring)
        for section in widget.findChildren(Section):
            section.expand(animate=False) if section.text() != "Keys" else section.collapse(animate=False)
        settle(1.0)
        widget.findChild(VerticalScroll).ensureWidgetVisible(widget.similar_panel)
        settle(1.0)
        viewer.window.screenshot(str(path), flash=False)
    finally:
        viewer.close()


def _zoom(viewer: Viewer, center: tuple[float, float], zoom: float) -> None:
    viewer.scene.camera.center = center
    viewer.scene.camera.zoom = zoom


def series(path: Path) -> None:
    """Show a folder of images worked through: two are done, one is at work."""
    from skimage import data, io

    with TemporaryDirectory() as folder:
        tissue = data.immunohistochemistry()
        for number, corner in enumerate(((0, 0), (0, 256), (256, 0), (256, 256)), 1):
            part = tissue[corner[0] : corner[0] + 256, corner[1] : corner[1] + 256]
            io.imsave(Path(folder) / f"tissue_{number}.png", part, check_contrast=False)
        viewer = Viewer(show=True, show_welcome_screen=False)
        try:
            viewer.window.resize(1300, 950)
            _, widget = viewer.window.add_plugin_dock_widget("napari-segany", "Prompt segmentation")
            session = widget.session
            session.series.open(folder)
            for points in (((98, 84), (40, 60)), ((60, 70), (120, 180)), ((48, 90), (120, 60))):
                wait_until(lambda: not session.series.is_moving and session.embedding_state.phase == "ready")
                for point in points:
                    session.add_point(point)
                    wait_for_masks(session)
                    session.accept()
                if session.series.position < 2:
                    session.series.done_and_next()
            _show_section(widget, "Folder of images")
            viewer.window.screenshot(str(path), flash=False)
        finally:
            viewer.close()


def _show_section(widget, title: str) -> None:
    """Unfold one part of the dock, fold the others, and scroll to it."""
    for section in widget.findChildren(Section):
        section.expand(animate=False) if section.text() == title else section.collapse(animate=False)
    settle(0.5)
    found = next(section for section in widget.findChildren(Section) if section.text() == title)
    widget.findChild(VerticalScroll).ensureWidgetVisible(found)
    settle(1.0)


def click_choose_accept(path: Path) -> None:
    """Show the main job as a short animation: point at a nucleus, click, choose among three masks, accept."""
    viewer, session = open_demo()
    frames: list[tuple[Image.Image, int]] = []

    def take(milliseconds: int) -> None:
        settle(0.4)
        frames.append((Image.fromarray(viewer.screenshot(canvas_only=True, flash=False)[..., :3]), milliseconds))

    try:
        wait_for_masks(session)
        session.clear_prompts()
        point = (361.0, 344.0)
        _zoom(viewer, point, 5.0)
        take(900)
        session.preview.at(point)
        wait_until(lambda: session.preview.shown is not None)
        take(1200)
        session.preview.hide()
        session.add_point(point)
        wait_for_masks(session)
        for rank in (0, 1, 2, 0):
            session.select_candidate(rank)
            take(1000)
        session.accept()
        take(1800)
    finally:
        viewer.close()
    pictures = [_small(frame) for frame, _ in frames]
    pictures[0].save(
        path,
        save_all=True,
        append_images=pictures[1:],
        duration=[milliseconds for _, milliseconds in frames],
        loop=0,
        optimize=True,
    )


def _small(frame: Image.Image, side: int = 300) -> Image.Image:
    """Return the middle of a frame in few colours, so that the file stays small; the text at the top stays."""
    edge = min(frame.size)
    left = (frame.width - edge) // 2
    small = frame.crop((left, 0, left + edge, edge)).resize((side, side), Image.Resampling.LANCZOS)
    return small.quantize(64, dither=Image.Dither.NONE)


def everything(path: Path) -> None:
    """Show the window after segmenting everything, with one object selected."""
    from skimage import data

    viewer = Viewer(show=True, show_welcome_screen=False)
    try:
        viewer.window.resize(1280, 900)
        viewer.add_image(data.coins(), name="coins")
        _, widget = viewer.window.add_plugin_dock_widget("napari-segany", "Segment everything")
        session = widget.session
        _wait_while_working(session)
        session.choose_preset("light")
        session.run()
        _wait_while_working(session)
        if not session.objects:
            raise SystemExit(f"nothing was found: {session.status}")
        session.editor.select([max(session.objects.values(), key=lambda found: found.record.predicted_iou).label])
        settle(1.0)
        viewer.window.screenshot(str(path), flash=False)
    finally:
        viewer.close()


def batch(path: Path) -> None:
    """Show the window after a batch over two open layers, its results opened."""
    from skimage import data

    viewer = Viewer(show=True, show_welcome_screen=False)
    with TemporaryDirectory() as folder:
        try:
            viewer.window.resize(1280, 900)
            viewer.add_image(data.coins(), name="coins")
            viewer.add_image(data.cell(), name="cell", visible=False)
            _, widget = viewer.window.add_plugin_dock_widget("napari-segany", "Segment a folder")
            session = widget.session
            session.choose_preset("light")
            session.change(points_per_side=16)
            session.choose_output(folder)
            session.run()
            _wait_while_working(session)
            if not session.can_open:
                raise SystemExit(f"the batch did not come to its end: {session.status}")
            done = session.status
            session.open_results()
            _wait_while_working(session)
            settle(1.0)
            viewer.layers["cell masks"].visible = False
            widget.output_row.line.setText("masks")  # and not a folder of this machine
            widget.status_label.setText(done)
            settle(1.0)
            viewer.window.screenshot(str(path), flash=False)
        finally:
            viewer.close()


def edges(path: Path) -> None:
    """Show the edge map of the coins, drawn by a press of the button."""
    viewer = Viewer(show=True)
    try:
        viewer.window.resize(1300, 800)
        viewer.add_image(data.coins(), name="coins")
        widget = EdgesWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Edges of everything")
        widget.run_button.click()
        end = time.monotonic() + 600
        while widget.session.progress is not None and time.monotonic() < end:
            settle(0.2)
        viewer.reset_view()
        settle(1.0)
        viewer.window.screenshot(str(path), flash=False)
    finally:
        viewer.close()


def rasters(path: Path) -> None:
    """Open a drawn town, make an object of each address, and save them as features."""
    from raster_scene import draw_town

    viewer = Viewer(show=True)
    with TemporaryDirectory() as folder:
        try:
            viewer.window.resize(1300, 800)
            raster, addresses = draw_town(Path(folder))
            dock = RastersWidget(viewer)
            viewer.window.add_dock_widget(dock, name="Rasters on Earth")
            dock.bands.setCurrentText("true colour")
            dock.session.open([raster])
            wait_until(lambda: dock.session.progress is None)
            prompts = PromptWidget(viewer)
            prompts.session.choose_image(viewer.layers[0])
            prompts.session.one_each.from_file(addresses)
            wait_until(lambda: prompts.session.one_each.progress is None)
            prompts.session.close()
            dock.labels.choose(viewer.layers["objects"])
            dock.min_area.setValue(20)
            dock.simplify.setValue(0.7)
            dock.session.save(Path(folder) / "houses.gpkg")
            wait_until(lambda: dock.session.progress is None)
            viewer.reset_view()
            settle(1.0)
            viewer.window.screenshot(str(path), flash=False)
            Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
        finally:
            viewer.close()


def _wait_while_working(session: EverythingSession | BatchSession, timeout_s: float = 600.0) -> None:
    end = time.monotonic() + timeout_s
    while session.is_busy:
        settle(0.1)
        if time.monotonic() > end:
            raise SystemExit(f"not ready after {timeout_s:g} s; the last word was: {session.status}")


MORE_CLICKS = ((240.0, 306.0), (271.0, 335.0), (291.0, 356.0), (322.0, 379.0))

PICTURES: dict[str, Callable[[Path], None]] = {
    "prompt_widget.png": prompt_widget,
    "candidates.png": candidates,
    "accepted.png": accepted,
    "objects_table.png": objects_table,
    "series.png": series,
    "stack.png": stack,
    "click_choose_accept.gif": click_choose_accept,
    "everything_widget.png": everything,
    "batch_widget.png": batch,
    "edges_widget.png": edges,
    "rasters_widget.png": rasters,
    "everything_words.png": everything_words,
    "data_engine.png": data_engine,
    "review_masks.png": review_masks,
}

if __name__ == "__main__":
    main()
