# SPDX-License-Identifier: BSL-1.0
"""A question, and what its answer is held against."""
from dataclasses import dataclass, field

from bars import Bars
from curves import Curves
from data import Data
from values import Check

Plot = Bars | Curves


@dataclass(frozen=True)
class Question:
    title: str
    against: str
    reach: str
    checks: tuple[Check, ...]
    at: str = ""  # what the figures of a line are for
    note: str = ""  # why it is as it is

    def measured(self, data: Data) -> list[str]:
        return [check.measured(data) for check in self.checks]

    def verdicts(self, data: Data) -> list[str]:
        """One for all lines, if it is the same."""
        lines = [check.verdict(data) for check in self.checks]
        return lines[:1] if len(set(lines)) == 1 and not lines[0].startswith("**no**:") else lines


@dataclass(frozen=True)
class Section:
    """What one program answers."""

    program: str
    title: str
    how: str
    questions: tuple[Question, ...]
    plots: tuple[Plot, ...] = field(default=())
