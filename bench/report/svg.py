# SPDX-License-Identifier: BSL-1.0
"""Drawings that can be read on a light and on a dark page: each has its own background."""
from xml.sax.saxutils import escape

# Okabe and Ito's colours, which colour-blind people can distinguish. Shapes and dashes
# differ, too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

STYLE = """
  text { font: 13px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328; }
  .page { fill: #ffffff; } .title { font-size: 15px; font-weight: 600; } .dim { fill: #59636e; }
  .over { paint-order: stroke; stroke: #ffffff; stroke-width: 5; }
  .axis { stroke: #59636e; } .grid { stroke: #d1d9e0; } .target { stroke: #1f2328; stroke-dasharray: 7 4; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .page { fill: #0d1117; } .dim { fill: #9198a1; }
    .over { stroke: #0d1117; }
    .axis { stroke: #9198a1; } .grid { stroke: #30363d; } .target { stroke: #e6edf3; }
  }
"""
CHARACTER = 7.8  # pixels, at most on average


class Drawing:
    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height = width, height
        self._title = title
        self._parts: list[str] = []

    def text(self, x: float, y: float, text: str, *, anchor: str = "start", css: str = "",
             turned: bool = False) -> None:
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{css}"{turn}>{escape(text)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        self._parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>')

    def bar(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{colour}"/>')

    def path(self, points: list[tuple[float, float]], colour: str, dashed: bool = False) -> None:
        dashes = ' stroke-dasharray="3 4"' if dashed else ""
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')

    def marker(self, x: float, y: float, shape: int, colour: str) -> None:
        outlines = ([(-4, -4), (4, -4), (4, 4), (-4, 4)], [(0, -5.5), (5, 4), (-5, 4)],
                    [(0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)], [(-5, -4), (5, -4), (0, 5.5)])
        if shape % 5 == 0:
            self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>')
            return
        points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in outlines[shape % 5 - 1])
        self._parts.append(f'<polygon points="{points}" fill="{colour}"/>')

    def render(self) -> str:
        size = f'width="{self.width:.0f}" height="{self.height:.0f}" viewBox="0 0 {self.width:.0f} {self.height:.0f}"'
        body = "\n".join(self._parts)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{escape(self._title)}</title>\n'
                f'<style>{STYLE}</style>\n<rect width="100%" height="100%" class="page"/>\n'
                f'<text x="16" y="26" class="title">{escape(self._title)}</text>\n{body}\n</svg>\n')
