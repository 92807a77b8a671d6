"""Where a window stands still: gaps between two ticks of a timer of the GUI thread, and what they are made of.

Knows Qt, vispy's canvas and how napari hangs together, but nothing of the package.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, QTimer

TICK_MS = 4
LIMIT_MS = 50.0


@dataclass(frozen=True)
class Gap:
    """Milliseconds between two ticks: by the clock, of the GUI thread's own processor time, and of it in drawing."""

    clock: float
    own: float
    drawing: float

    @property
    def without_drawing(self) -> float:
        """The GUI thread's own processor time for everything but drawing the canvas."""
        return self.own - self.drawing


class Drawing:
    """Adds up the GUI thread's own processor time in drawing a canvas.

    That is what vispy does in `paintGL` (uploading textures and compiling shaders too), and what Qt does to bring the
    drawn canvas to the screen.

    Parameters
    ----------
    canvas : QOpenGLWidget
        The canvas as Qt knows it.
    """

    def __init__(self, canvas: Any) -> None:
        self.own_ms, self._began = 0.0, 0.0
        self._paint = canvas.paintGL
        canvas.paintGL = self._painting
        canvas.aboutToCompose.connect(self._composing)
        canvas.frameSwapped.connect(self._swapped)

    def _painting(self) -> None:
        began = time.thread_time()
        try:
            self._paint()
        finally:
            self.own_ms += 1e3 * (time.thread_time() - began)

    def _composing(self) -> None:
        self._began = time.thread_time()

    def _swapped(self) -> None:
        if self._began:
            self.own_ms += 1e3 * (time.thread_time() - self._began)
        self._began = 0.0


class Probe:
    """Notes every gap between two ticks, with what was being done."""

    def __init__(self, drawing: Drawing, where: Where | None = None) -> None:
        self.doing = "start"
        self.gaps: dict[str, list[Gap]] = defaultdict(list)
        self._drawing, self._where = drawing, where
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._last = self._now()
        self._timer.start()

    def _now(self) -> tuple[float, float, float]:
        return 1e3 * time.perf_counter(), 1e3 * time.thread_time(), self._drawing.own_ms

    def _tick(self) -> None:
        now = self._now()
        clock, own, drawing = (one - other for one, other in zip(now, self._last, strict=True))
        gap = Gap(clock - TICK_MS, own, drawing)
        self.gaps[self.doing].append(gap)
        if self._where is not None:
            self._where.take(self.doing, gap)
        self._last = self._now()

    def report(self) -> None:
        """Print percentiles, and what was done in gaps above the limit."""
        columns: tuple[tuple[str, Callable[[Gap], float]], ...] = (
            ("clock", lambda gap: gap.clock),
            ("own processor time", lambda gap: gap.own),
            ("own, canvas not counted", lambda gap: gap.without_drawing),
        )
        everything = [gap for gaps in self.gaps.values() for gap in gaps]
        print(
            f"{len(everything):,} ticks; gaps in ms     50 %   90 %   99 %  99.9 %    max   above {LIMIT_MS:.0f} ms"
        )
        for name, column in columns:
            values = np.array([column(gap) for gap in everything])
            cuts = " ".join(f"{cut:6.1f}" for cut in np.quantile(values, [0.5, 0.9, 0.99, 0.999, 1.0]))
            print(f"{name:24s}           {cuts}  {int((values > LIMIT_MS).sum()):6d}")
        print(f"\n{'':24s}{f'gaps above {LIMIT_MS:.0f} ms':>30s}{'longest, ms':>31s}")
        print(f"{'during':24s}" + 2 * f"{'clock':>10s}{'own':>10s}{'no canvas':>11s}")
        for doing, gaps in sorted(self.gaps.items(), key=lambda item: -max(gap.own for gap in item[1])):
            values = np.array([[column(gap) for _, column in columns] for gap in gaps])
            counts, longest = (values > LIMIT_MS).sum(axis=0), values.max(axis=0)
            print(
                f"{doing:24s}{counts[0]:10d}{counts[1]:10d}{counts[2]:11d}"
                f"{longest[0]:10.0f}{longest[1]:10.0f}{longest[2]:11.0f}"
            )


@dataclass
class _Node:
    """How often a function was on the stack, and what it called."""

    count: int = 0
    called: dict[str, _Node] = field(default_factory=lambda: defaultdict(_Node))


class Where:
    """Takes the GUI thread's stack every few milliseconds, and keeps those of gaps above the limit.

    Parameters
    ----------
    canvas_too : bool
        Whether gaps count that are above the limit only through drawing the canvas.
    """

    def __init__(self, *, canvas_too: bool = False, every_ms: float = 2.0) -> None:
        self._gui, self._every = threading.get_ident(), every_ms / 1e3
        self._canvas_too = canvas_too
        self._stacks: list[tuple[str, ...]] = []
        self._kept: dict[str, list[list[tuple[str, ...]]]] = defaultdict(list)
        threading.Thread(target=self._sample, daemon=True).start()

    def take(self, doing: str, gap: Gap) -> None:
        """Keep the stacks of the gap that ends now, if it is a long one."""
        stacks, self._stacks = self._stacks, []
        if (gap.own if self._canvas_too else gap.without_drawing) > LIMIT_MS:
            self._kept[doing].append(stacks)

    def report(self, share: float = 0.08) -> None:
        """Print, for everything that was done, the calls that took more than a share of its long gaps."""
        for doing, gaps in sorted(self._kept.items(), key=lambda item: -len(item[1])):
            root = _Node()
            for stack in (stack for stacks in gaps for stack in stacks):
                node = root
                node.count += 1
                for name in stack:
                    node = node.called[name]
                    node.count += 1
            print(f"\n{doing}: {len(gaps)} gaps, {root.count} stacks")
            self._print(root, share * max(root.count, 1), 1)

    def _print(self, node: _Node, least: float, depth: int) -> None:
        for name, called in sorted(node.called.items(), key=lambda item: -item[1].count):
            if called.count >= least:
                below = [one for one in called.called.values() if one.count >= least]
                alone = len(below) == 1 and below[0].count == called.count
                if not alone or "napari_segany" in name:
                    print(f"{called.count:5d} {'  ' * depth}{name}")
                self._print(called, least, depth + (not alone))

    def _sample(self) -> None:
        while True:
            time.sleep(self._every)
            frame = sys._current_frames().get(self._gui)
            stack = []
            while frame is not None:
                code = frame.f_code
                file = Path(code.co_filename)
                stack.append(f"{file.parent.name}/{file.name}:{frame.f_lineno} {code.co_qualname}")
                frame = frame.f_back
            self._stacks.append(tuple(reversed(stack)))
