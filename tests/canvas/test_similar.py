"""Finding similar objects with real clicks and keys: click, select, find, slide, accept, undo."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from tests.canvas.conftest import DiscPredictor
from tests.discs import DiscFinder, disc_image, disc_mask

from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.kept_masks import MASKS_KEY, KeptMask, KeptMasks
from napari_segany.widgets.section import Section

SHAPE = (96, 128)
ALIKE = ((20, 20, 9, 240), (20, 60, 9, 240), (70, 30, 9, 240))
OTHER = ((66, 96, 22, 160),)


class DiscsOnce(DiscFinder):
    """Finds all discs; answers a click as people's predictors do."""

    def predict(self, embedding, **prompts):
        return DiscPredictor().predict(_WithMean(embedding.image_shape), **prompts)


class _WithMean:
    mean = 0.0

    def __init__(self, image_shape):
        self.image_shape = image_shape


def add_everything(viewer):
    """Add what Segment everything would have left: the discs as masks."""
    masks = [disc_mask(SHAPE, *disc[:3]) for disc in (*ALIKE, *OTHER)]
    records = [MaskRecord.from_mask(mask, predicted_iou=0.9, stability_score=0.9) for mask in masks]
    kept = KeptMasks({(): tuple(KeptMask(label, one) for label, one in enumerate(records, 1))}, "smaller")
    data = np.zeros(SHAPE, np.uint16)
    for label, mask in enumerate(masks, 1):
        data[mask] = label
    layer = viewer.add_labels(data, name="everything", visible=False, metadata={MASKS_KEY: kept})
    assert layer.visible is False


def press(button):
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def test_click_select_find_slide_accept_and_undo(drive):
    def add(viewer):
        image = viewer.add_image(disc_image(SHAPE, [*ALIKE, *OTHER]), contrast_limits=(0, 255))
        add_everything(viewer)
        viewer.layers.selection.active = image

    person = drive(before=add, predictor=DiscsOnce())
    person.wait_ready()
    image, panel, session = person.session.image, person.widget.similar_panel, person.session
    person.click(image, ALIKE[0][:2])
    person.wait_answer(3)
    person.press(Qt.Key_W)  # the disc of radius 8 on one of radius 9
    person.press(Qt.Key_N)
    assert session.objects.labels == (1,)
    (section,) = [one for one in person.widget.findChildren(Section) if one.text() == "Find similar"]
    press(section.toggleButton())
    person.qtbot.waitUntil(lambda: panel.find_button.height() > 10)
    press(panel.find_button)
    assert "Choose what to look for" in person.widget.status_label.text()

    QTest.mouseMove(person.canvas.native, person.on_canvas(image, ALIKE[0][:2]))
    person.qtbot.wait(30)
    person.press(Qt.Key_G)
    assert session.editor.selection == (1,)
    press(panel.find_button)
    person.qtbot.waitUntil(lambda: session.similar.answer is not None, timeout=30_000)
    assert panel.note.text() == f"{session.similar.count} of 3 masks are marked."
    preview = person.viewer.layers["similar objects"]

    panel.slider.setValue(0)
    assert panel.accept_button.text() == "Accept 3"
    handle = panel.slider.rect()
    QTest.mouseClick(panel.slider, Qt.MouseButton.LeftButton, pos=QPoint(handle.right() - 2, handle.center().y()))
    assert 0 < session.similar.threshold < 1, "the slider moved a page"
    second, third = np.sort(session.similar.answer.found.similarity)[[-2, -3]]
    assert second - third > 0.05
    panel.slider.setValue(round(500 * (second + third)))
    assert panel.accept_button.text() == "Accept 2"
    assert preview.visible
    assert preview.get_value(ALIKE[1][:2])
    assert not preview.get_value(OTHER[0][:2])

    press(panel.accept_button)
    assert session.objects.labels == (1, 2, 3)
    assert not preview.visible
    assert len({session.objects.layer.get_value(disc[:2]) for disc in ALIKE}) == 3
    person.press(Qt.Key_Z, Qt.ControlModifier)
    assert session.objects.labels == (1,)
    press(panel.find_button)
    person.qtbot.waitUntil(lambda: session.similar.answer is not None, timeout=30_000)
    press(panel.cancel_button)
    assert not preview.visible
    assert not panel.accept_button.isEnabled()
