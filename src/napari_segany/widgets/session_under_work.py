"""The object under work in a session: its prompts, and the masks that the model offers for them. Knows no Qt."""

from __future__ import annotations

from collections.abc import Sequence

from napari.layers import Labels
from psygnal import Signal

from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.drafts import Candidate, Prompts
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.prompt_layers import FOREGROUND, PromptLayers
from napari_segany.widgets.session_image import SessionImage
from napari_segany.widgets.session_objects import SessionObjects


class ObjectUnderWork:
    """What people do with the object under work, until they accept or drop it.

    Parameters
    ----------
    conversation : Conversation
        Asks the model.
    prompt_layers : PromptLayers
        Have the points and boxes.
    work : SessionObjects
        Has the accepted objects, which can be prompts, and the history.
    chosen : SessionImage
        The image that is worked on.

    Attributes
    ----------
    prompt_layers : PromptLayers
        The layers that take prompts.
    """

    prompts_changed = Signal(Prompts)
    candidates_changed = Signal(tuple)
    selected_changed = Signal(int)
    polarity_changed = Signal(str)

    def __init__(
        self, conversation: Conversation, prompt_layers: PromptLayers, work: SessionObjects, chosen: SessionImage
    ) -> None:
        self.prompt_layers = prompt_layers
        self._conversation, self._work, self._chosen = conversation, work, chosen
        conversation.candidates_changed.connect(self.candidates_changed.emit)
        conversation.selected_changed.connect(self.selected_changed.emit)

    @property
    def plane(self) -> Plane | None:
        """The shown plane of the image; None while none can be prompted on (`status` says why)."""
        return self._conversation.plane

    @property
    def prompts(self) -> Prompts:
        """The prompts of the object under work on the shown plane."""
        return self._conversation.prompts

    @property
    def polarity(self) -> str:
        """What a plain click means: "foreground" or "background"; right click and Ctrl-click mean the other."""
        return self.prompt_layers.polarity

    def toggle_polarity(self) -> None:
        """Swap what plain click and right click mean (key Q)."""
        self.prompt_layers.toggle_polarity()
        self.polarity_changed.emit(self.polarity)

    def choose_tool(self, name: str) -> None:
        """Make the mouse give "points" or "boxes"; layers that the user deleted are made again."""
        self.prompt_layers.use(name)

    def add_point(self, position: Sequence[float], label: int | None = None) -> None:
        """Click at (row, col) of the shown plane; label 1 is foreground, 0 background, None the present polarity."""
        label = int(self.polarity == FOREGROUND) if label is None else label
        self.prompt_layers.add_points(self._chosen.needed_plane(), [position], [label])

    def add_box(self, box: Sequence[float]) -> None:
        """Draw the box (row_min, col_min, row_max, col_max) in place of the present one."""
        self.prompt_layers.set_box(self._chosen.needed_plane(), box)

    def use_object(self, labels: Labels, label: int | None = None) -> None:
        """Take an object of a Labels layer as mask prompt; without `label` the layer's selected one.

        Raises
        ------
        ValueError
            If there is no plane, or the object is not on it.
        """
        self._work.use_object(self._chosen.needed_plane(), labels, label)

    def clear_prompts(self) -> None:
        """Drop the prompts and candidates of the shown plane (key U)."""
        if self.plane is not None:
            with self._work.recorder.step("dropping of prompts"):
                self._conversation.drop_draft()
                self.prompt_layers.clear(self.plane)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What the model offers for the prompts, best first."""
        return self._conversation.candidates

    @property
    def selected(self) -> int:
        """Which candidate is shown, counted from 0."""
        return self._conversation.selected

    def select_candidate(self, index: int) -> None:
        """Show one of the candidates."""
        self._conversation.select(index)

    def next_candidate(self, step: int = 1) -> None:
        """Show the next candidate, after the last one the first (key W)."""
        if self.candidates:
            self.select_candidate((self.selected + step) % len(self.candidates))

    def previous_candidate(self) -> None:
        """Show the previous candidate (key Shift-W)."""
        self.next_candidate(-1)
