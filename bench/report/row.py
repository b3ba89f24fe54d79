# SPDX-License-Identifier: BSL-1.0
"""A row of docs/benchmarks.md: the library beside what it is compared with, for several sizes."""
from collections.abc import Sequence
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
    ratio: str | None  # None: the target is for `ours`
    unit: str
    target: Target | None = None
    digits: int = 1

    def line(self, size: int, data: Data) -> list[str]:
        def check(series: str, unit: str, digits: int) -> Check:
            return Check("", only(at(self.program, series, size)), self.target, unit, digits)

        cells = [check(series, self.unit, self.digits).measured(data) for series in (self.ours, self.theirs)]
        if self.ratio is None:
            return [self.case.format(f"{size:,}"), *cells, NOTHING, check(self.ours, self.unit, self.digits).verdict(data)]
        ratio = check(self.ratio, "", 2)
        return [self.case.format(f"{size:,}"), *cells, ratio.measured(data), ratio.verdict(data)]

    def with_other_grpc(self, size: int, data: Data) -> str:
        """The figure of the library and the ratio in one cell, and the verdict if it is "no"."""
        if data.value(self.program, self.ours, size) is None:
            return NOTHING
        _, ours, _, ratio, verdict = self.line(size, data)
        shown = [ours] + [text for text in (ratio, verdict) if text not in (NOTHING, "yes")]
        return ", ".join(shown)


def _merged(column: Sequence[str]) -> Sequence[str]:
    """One line if all lines are the same."""
    return column[:1] if len(set(column)) == 1 else column


@dataclass(frozen=True)
class Row:
    title: str
    what: str
    against: str
    target: str
    comparisons: tuple[Comparison, ...]
    meaning: str
    plot: Plot | None = None

    def cells(self, data: Data, others: list[Data]) -> list[str]:
        """@param others: measured with other versions of gRPC, which have a column each."""
        lines = [each.line(size, data) for each in self.comparisons for size in each.sizes]
        *columns, verdicts = zip(*lines)
        elsewhere = [[each.with_other_grpc(size, other) for each in self.comparisons for size in each.sizes]
                     for other in others]
        cells = ["<br>".join(column) for column in (*columns, (self.target,), *map(_merged, (verdicts, *elsewhere)))]
        return [f"**{self.title}**<br>{self.what}<br>compared with {self.against}",
                *(cell.replace(" ", NO_BREAK) for cell in cells)]
