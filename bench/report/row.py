# SPDX-License-Identifier: BSL-1.0
"""A row of docs/benchmarks.md: the library beside what it is compared with, for several sizes."""
from dataclasses import dataclass

from bars import Bars
from curves import Curves
from data import Data
from values import NOTHING, Check, Target, at, only

Plot = Bars | Curves
NO_BREAK = "\u00a0"  # a space that keeps the lines of a row beside one another in a narrow window


@dataclass(frozen=True)
class Comparison:
    """Lines of a row, one for each size."""

    case: str  # the name of a line, with {} for the size
    program: str
    sizes: tuple[int, ...]
    ours: str  # the series
    theirs: str
    ratio: str | None
    unit: str
    target: Target | None = None
    digits: int = 1

    def line(self, size: int, data: Data) -> list[str]:
        def check(series: str, unit: str, digits: int) -> Check:
            return Check("", only(at(self.program, series, size)), self.target, unit, digits)

        cells = [check(series, self.unit, self.digits).measured(data) for series in (self.ours, self.theirs)]
        if self.ratio is None:
            return [self.case.format(f"{size:,}"), *cells, NOTHING, NOTHING]
        ratio = check(self.ratio, "", 2)
        return [self.case.format(f"{size:,}"), *cells, ratio.measured(data), ratio.verdict(data)]


@dataclass(frozen=True)
class Row:
    title: str
    what: str
    against: str
    target: str
    comparisons: tuple[Comparison, ...]
    meaning: str
    plot: Plot | None = None

    def cells(self, data: Data) -> list[str]:
        lines = [each.line(size, data) for each in self.comparisons for size in each.sizes]
        *columns, verdicts = zip(*lines)
        if len(set(verdicts)) == 1:
            verdicts = verdicts[:1]
        cells = ["<br>".join(column) for column in (*columns, (self.target,), verdicts)]
        return [f"**{self.title}**<br>{self.what}<br>compared with {self.against}",
                *(cell.replace(" ", NO_BREAK) for cell in cells)]
