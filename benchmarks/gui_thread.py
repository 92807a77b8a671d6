"""Where a window stands still: gaps between two ticks of a timer of the GUI thread, and what they are made of.

Knows Qt, but nothing of the package.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from gui_drawing import Drawing
from gui_share import Share
from qtpy.QtCore import Qt, QTimer

TICK_MS = 4
LIMIT_MS = 50.0
NOTHING_MS = 1.0
"""What went into calls of a package in a gap, if it is less, is none of its doing."""


@dataclass(frozen=True)
class Gap:
    """Milliseconds between two ticks: by the clock, and of the GUI thread's own processor time.

    Of the latter, what went into drawing the canvas, and what into calls of a package; of that also by the clock.
    And what went into the rasteriser, both ways.
    """

    clock: float
    own: float
    drawing: float
    rasteriser: float
    rasteriser_clock: float
    package: float
    package_clock: float

    @property
    def without_drawing(self) -> float:
        """The GUI thread's own processor time for everything but drawing the canvas."""
        return self.own - self.drawing

    @property
    def without_rasteriser(self) -> float:
        """The GUI thread's own processor time without that in the rasteriser."""
        return self.own - self.rasteriser

    @property
    def clock_without_rasteriser(self) -> float:
        """The time of the clock without that in the rasteriser, and without waiting for it."""
        return self.clock - self.rasteriser_clock


COLUMNS: tuple[tuple[str, str, Callable[[Gap], float]], ...] = (
    ("clock", "clock", lambda gap: gap.clock),
    ("clock, without rasteriser", "no raster", lambda gap: gap.clock_without_rasteriser),
    ("own processor time", "own", lambda gap: gap.own),
    ("own, without rasteriser", "no raster", lambda gap: gap.without_rasteriser),
    ("own, canvas not counted", "no canvas", lambda gap: gap.without_drawing),
    ("own, in the package", "package", lambda gap: gap.package),
)


class Probe:
    """Notes every gap between two ticks, with what was being done."""

    def __init__(self, drawing: Drawing, share: Share, where: Where | None = None) -> None:
        self.doing = "start"
        self.gaps: dict[str, list[Gap]] = defaultdict(list)
        self._drawing, self._share, self._where = drawing, share, where
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._last = self._now()
        self._timer.start()

    def _now(self) -> tuple[float, ...]:
        return 1e3 * time.perf_counter(), 1e3 * time.thread_time(), *self._drawing.sums(), *self._share.sums()

    def _tick(self) -> None:
        clock, *rest = (one - other for one, other in zip(self._now(), self._last, strict=True))
        gap = Gap(clock - TICK_MS, *rest)
        self.gaps[self.doing].append(gap)
        if self._where is not None:
            self._where.take(self.doing, gap)
        self._last = self._now()

    def report(self) -> None:
        """Print percentiles, what was done in gaps above the limit, and whose they were."""
        everything = [gap for gaps in self.gaps.values() for gap in gaps]
        print(
            f"{len(everything):,} ticks; gaps in ms     50 %   90 %   99 %  99.9 %    max   above {LIMIT_MS:.0f} ms"
        )
        for name, _, column in COLUMNS:
            values = np.array([column(gap) for gap in everything])
            cuts = " ".join(f"{cut:6.1f}" for cut in np.quantile(values, [0.5, 0.9, 0.99, 0.999, 1.0]))
            print(f"{name:25s}          {cuts}  {int((values > LIMIT_MS).sum()):6d}")
        print(f"\n{'':24s}{f'gaps above {LIMIT_MS:.0f} ms':>60s}{'longest, ms':>60s}")
        print(f"{'during':24s}" + 2 * "".join(f"{short:>10s}" for _, short, _ in COLUMNS))
        for doing, gaps in sorted(self.gaps.items(), key=lambda item: -max(gap.own for gap in item[1])):
            values = np.array([[column(gap) for _, _, column in COLUMNS] for gap in gaps])
            counts, longest = (values > LIMIT_MS).sum(axis=0), values.max(axis=0)
            print(f"{doing:24s}" + "".join(f"{one:10.0f}" for one in (*counts, *longest)))
        print()
        self._report_shares("own processor time", [(gap.own, gap.package) for gap in everything])
        self._report_shares("clock", [(gap.clock, gap.package_clock) for gap in everything])

    def _report_shares(self, name: str, gaps: list[tuple[float, float]]) -> None:
        shares = [package for whole, package in gaps if whole > LIMIT_MS]
        much, none = sum(one > LIMIT_MS for one in shares), sum(one < NOTHING_MS for one in shares)
        limit = f"{LIMIT_MS:.0f} ms"
        print(
            f"{name}, gaps over {limit} in which more than {limit} went into calls of the package: {much}; "
            f"less than that: {len(shares) - much - none}; in napari, Qt and drawing alone: {none}"
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
