# SPDX-License-Identifier: BSL-1.0
"""What a program measures: rows of docs/benchmarks.md, and questions of its appendix."""
from dataclasses import dataclass

from data import Data
from row import Plot, Row
from values import Check


@dataclass(frozen=True)
class Question:
    title: str
    against: str
    target: str
    checks: tuple[Check, ...]
    at: str = ""  # the sizes of the figures in a line
    note: str = ""  # the explanation

    def measured(self, data: Data) -> list[str]:
        return [check.measured(data) for check in self.checks]

    def verdicts(self, data: Data) -> list[str]:
        """Returns one verdict if it is the same for all lines."""
        lines = [check.verdict(data) for check in self.checks]
        return lines[:1] if len(set(lines)) == 1 and not lines[0].startswith("**no**:") else lines


@dataclass(frozen=True)
class Section:
    """What one program measures."""

    program: str
    title: str
    how: str
    questions: tuple[Question, ...]
    plots: tuple[Plot, ...]  # of the appendix
    rows: tuple[Row, ...] = ()

    def all_plots(self) -> list[Plot]:
        return [row.plot for row in self.rows if row.plot] + list(self.plots)
