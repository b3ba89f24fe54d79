# SPDX-License-Identifier: BSL-1.0
"""Curves over a number of something, each with its name at its end, and the target as a line across."""
from collections.abc import Sequence
from dataclasses import dataclass

from data import Data
from scale import Scale, label, range_of
from svg import CHARACTER, COLOURS, Drawing

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, LINE = 780, 380, 78, 48, 326, 17

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    name: str
    program: str
    series: str
    colour: int
    dashed: bool = False


@dataclass(frozen=True)
class Curves:
    file: str
    title: str
    x_axis: str
    y_axis: str
    curves: tuple[Curve, ...]
    logarithmic: bool = False  # of the y axis; the x axis is
    target: float | None = None
    target_name: str = ""
    y_from: float = 0  # where a linear y axis begins

    def draw(self, data: Data) -> str | None:
        drawn = [(curve, points) for curve in self.curves if (points := data.curve(curve.program, curve.series))]
        if not drawn:
            return None
        drawing = Drawing(WIDTH, HEIGHT, self.title)
        names = [curve.name for curve, _ in drawn] + ([self.target_name] if self.target is not None else [])
        right = WIDTH - 34 - CHARACTER * max(map(len, names))
        ys = [y for _, points in drawn for _, y in points] + ([self.target] if self.target is not None else [])
        xs = sorted({x for _, points in drawn for x, _ in points})
        x_scale = Scale(xs[0], xs[-1], LEFT + 14, right - 10, logarithmic=xs[0] > 0)
        y_scale = Scale(*range_of(ys, self.logarithmic, self.y_from), BOTTOM, TOP, self.logarithmic)
        self._axes(drawing, x_scale, y_scale, xs, right)
        ends: list[tuple[str, Point, Curve | None]] = [
            (curve.name, _curve(drawing, curve, points, x_scale, y_scale), curve) for curve, points in drawn]
        if self.target is not None:
            at = y_scale.position(self.target)
            drawing.line(LEFT, at, right, at, "target")
            ends.append((self.target_name, (right, at), None))
        _names(drawing, ends, right)
        return drawing.render()

    def _axes(self, drawing: Drawing, x: Scale, y: Scale, xs: Sequence[float], right: float) -> None:
        for tick in y.ticks():
            drawing.line(LEFT, y.position(tick), right, y.position(tick), "grid")
            drawing.text(LEFT - 8, y.position(tick) + 4, label(tick), anchor="end", css="dim")
        for value in xs:
            drawing.line(x.position(value), BOTTOM, x.position(value), BOTTOM + 5, "axis")
            drawing.text(x.position(value), BOTTOM + 20, label(value), anchor="middle", css="dim")
        drawing.line(LEFT, BOTTOM, right, BOTTOM, "axis")
        drawing.line(LEFT, TOP, LEFT, BOTTOM, "axis")
        drawing.text((LEFT + right) / 2, BOTTOM + 42, self.x_axis, anchor="middle")
        drawing.text(20, (TOP + BOTTOM) / 2, self.y_axis, anchor="middle", turned=True)


def _curve(drawing: Drawing, curve: Curve, points: list[Point], x: Scale, y: Scale) -> Point:
    """Returns where the curve ends."""
    places = [(x.position(px), y.position(py)) for px, py in points]
    drawing.path(places, COLOURS[curve.colour], curve.dashed)
    for px, py in places:
        drawing.marker(px, py, curve.colour, COLOURS[curve.colour])
    return places[-1]


def _names(drawing: Drawing, ends: list[tuple[str, Point, Curve | None]], right: float) -> None:
    """Writes the names beside the ends of the curves, moved apart where they would overlap."""
    ends.sort(key=lambda end: end[1][1])
    heights = spread([end[1][1] for end in ends], LINE, TOP, BOTTOM)
    for (name, (x, y), curve), height in zip(ends, heights):
        if curve is None:
            drawing.line(x, y, right + 14, height, "target")
        else:
            drawing.path([(x, y), (right + 14, height)], COLOURS[curve.colour], curve.dashed)
        drawing.text(right + 20, height + 4, name)


def spread(heights: list[float], apart: float, low: float, high: float) -> list[float]:
    """Sorted heights, moved as far as needed to be `apart` from one another and to stay inside."""
    moved = list(heights)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + apart)
    for i in range(len(moved) - 1, -1, -1):
        below = moved[i + 1] - apart if i + 1 < len(moved) else high
        moved[i] = max(min(moved[i], below), low + i * apart)
    return moved
