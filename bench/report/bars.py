# SPDX-License-Identifier: BSL-1.0
"""Horizontal bars, each with its name and its value, and the targets as lines across them."""
from dataclasses import dataclass

from data import Data
from scale import Scale, label, range_of
from svg import CHARACTER, COLOURS, Drawing
from values import Value

WIDTH, TOP, BOTTOM, BAR, GAP, GROUP_GAP = 780, 80, 52, 18, 8, 26
OURS, OTHERS = 0, 5  # colours


@dataclass(frozen=True)
class Bar:
    name: str
    value: Value
    ours: bool = False


@dataclass(frozen=True)
class Line:
    """A target, as a line across all bars."""

    name: str
    value: Value


Groups = list[tuple[str, list[tuple[Bar, float]]]]


@dataclass(frozen=True)
class Bars:
    file: str
    title: str
    axis: str
    groups: tuple[tuple[str, tuple[Bar, ...]], ...]
    lines: tuple[Line, ...] = ()
    digits: int = 2

    def draw(self, data: Data) -> str | None:
        groups = [(name, [(bar, value) for bar in bars if (value := bar.value(data)) is not None])
                  for name, bars in self.groups]
        groups = [(name, bars) for name, bars in groups if bars]
        if not groups:
            return None
        lines = [(line.name, value) for line in self.lines if (value := line.value(data)) is not None]
        height = TOP + sum(GROUP_GAP + len(bars) * (BAR + GAP) for _, bars in groups) + BOTTOM
        drawing = Drawing(WIDTH, height, self.title)
        left = 24 + CHARACTER * max(len(bar.name) for _, bars in groups for bar, _ in bars)
        values = [value for _, bars in groups for _, value in bars] + [value for _, value in lines]
        x = Scale(*range_of(values, False), left, WIDTH - 40)
        self._axis(drawing, x, height - BOTTOM)
        ends = self._bars(drawing, x, groups)
        _lines(drawing, x, lines, height - BOTTOM)
        for end, y, value in ends:  # above the lines
            drawing.text(end + 6, y + 14, f"{value:,.{self.digits}f}", css="over")
        _legend(drawing)
        return drawing.render()

    def _axis(self, drawing: Drawing, x: Scale, bottom: float) -> None:
        for tick in x.ticks():
            drawing.line(x.position(tick), TOP - 6, x.position(tick), bottom, "grid")
            drawing.text(x.position(tick), bottom + 18, label(tick), anchor="middle", css="dim")
        drawing.text((x.begin + x.end) / 2, bottom + 40, self.axis, anchor="middle")

    def _bars(self, drawing: Drawing, x: Scale, groups: Groups) -> list[tuple[float, float, float]]:
        """Returns where each bar ends, and its value."""
        y, ends = float(TOP), []
        for name, bars in groups:
            drawing.text(x.begin - 8, y + 14, name, anchor="end", css="dim")
            y += GROUP_GAP
            for bar, value in bars:
                drawing.text(x.begin - 8, y + 14, bar.name, anchor="end")
                drawing.bar(x.begin, y, x.position(value) - x.begin, BAR, COLOURS[OURS if bar.ours else OTHERS])
                ends.append((x.position(value), y, value))
                y += BAR + GAP
        drawing.line(x.begin, TOP - 6, x.begin, y, "axis")
        return ends


def _lines(drawing: Drawing, x: Scale, lines: list[tuple[str, float]], bottom: float) -> None:
    for number, (name, value) in enumerate(lines):
        above = TOP - 10 - 15 * (len(lines) - 1 - number)
        drawing.line(x.position(value), above, x.position(value), bottom, "target")
        drawing.text(x.position(value) + 6, above + 4, name, css="over")


def _legend(drawing: Drawing) -> None:
    for name, colour, x in (("conn_grpc", OURS, WIDTH - 220), ("for comparison", OTHERS, WIDTH - 124)):
        drawing.bar(x, 16, 12, 12, COLOURS[colour])
        drawing.text(x + 17, 26, name)
