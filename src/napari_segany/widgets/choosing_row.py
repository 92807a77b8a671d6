"""The part of the dock for what is shown before and after a click: the preview, and which mask comes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QWidget

from napari_segany.engine.mask_policy import MaskPolicy
from napari_segany.widgets.session import PromptSession

POLICY_TEXTS: dict[MaskPolicy, str] = {
    "best": "highest predicted IoU",
    "largest": "largest",
    "middle": "the middle one",
    "smallest": "smallest",
}


class ChoosingRow(QWidget):
    """Shows and sets the preview and the candidate policy of a session.

    Parameters
    ----------
    session : PromptSession
        The session.
    remember : callable
        Keeps a preference, by its name and value.
    """

    def __init__(self, session: PromptSession, remember: Callable[[str, Any], None]) -> None:
        super().__init__()
        self._session, self._remember = session, remember
        self.preview = QCheckBox("Preview under the mouse  H")
        self.preview.setToolTip("Outline what a click here would give, and what a box gives while it is drawn")
        self.preview.setChecked(session.preview.enabled)
        self.policy = QComboBox()
        self.policy.setToolTip("Which of the three masks of a click is shown first, and previewed")
        for policy, text in POLICY_TEXTS.items():
            self.policy.addItem(text, policy)
        self._show_policy()
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(self.preview)
        form.addRow("First mask", self.policy)
        self.preview.toggled.connect(session.preview.switch)
        self.policy.activated.connect(self._choose)
        session.preview.switched.connect(self._show_switched)
        session.preview.preferred.connect(self._prefer)
        session.choices_changed.connect(self._show_policy)

    def _choose(self, index: int) -> None:
        self._session.preview.policy = self.policy.itemData(index)
        self._remember("candidate_policy", self._session.preview.policy)

    def _show_policy(self) -> None:
        self.policy.setCurrentIndex(self.policy.findData(self._session.preview.policy))

    def _show_switched(self, enabled: bool) -> None:
        self.preview.blockSignals(True)
        self.preview.setChecked(enabled)
        self.preview.blockSignals(False)

    def _prefer(self, enabled: bool) -> None:
        self._remember("preview", enabled)
