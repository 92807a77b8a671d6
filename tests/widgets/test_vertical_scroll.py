from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_segany.widgets.vertical_scroll import VerticalScroll


def test_what_is_shown_later_is_not_cut_off_at_the_side(qtbot):
    """A part of a dock that is unfolded may be wider than all that was seen before."""
    body, narrow, wide = QWidget(), QWidget(), QWidget()
    narrow.setMinimumWidth(100)
    wide.setMinimumWidth(300)
    column = QVBoxLayout(body)
    column.addWidget(narrow)
    column.addWidget(wide)
    wide.hide()
    scroll = VerticalScroll(body)
    qtbot.addWidget(scroll)
    scroll.show()
    qtbot.waitUntil(lambda: scroll.minimumWidth() >= 100)
    assert scroll.minimumWidth() < 300
    wide.show()
    qtbot.waitUntil(lambda: scroll.minimumWidth() >= 300)
    assert scroll.minimumWidth() >= body.minimumSizeHint().width()
