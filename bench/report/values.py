# SPDX-License-Identifier: BSL-1.0
"""Figures, and the targets that they are compared with."""
import operator
from collections.abc import Callable
from dataclasses import dataclass

from data import Data

CPU_BOUND = 0.9  # of all CPUs, as in bench/streams.cpp
NOTHING = "–"  # where there is no figure, or no target

Value = Callable[[Data], float | None]


def at(program: str, series: str, x: float) -> Value:
    return lambda data: data.value(program, series, x)


def combined(function: Callable[[float, float], float], value: Value, other: Value) -> Value:
    def combine(data: Data) -> float | None:
        a, b = value(data), other(data)
        return None if a is None or b is None else function(a, b)

    return combine


def difference(value: Value, other: Value) -> Value:
    return combined(operator.sub, value, other)


def total(value: Value, other: Value) -> Value:
    return combined(operator.add, value, other)


def quotient(value: Value, other: Value) -> Value:
    return combined(operator.truediv, value, other)


@dataclass(frozen=True)
class Target:
    limit: Value
    at_most: bool

    def is_met(self, value: float, data: Data) -> bool:
        limit = self.limit(data)
        if limit is None:
            return False
        # As printed, so that 1.30 meets a target of 1.3.
        value, limit = round(value, 2), round(limit, 2)
        return value <= limit if self.at_most else value >= limit


def at_most(limit: float) -> Target:
    return Target(lambda _: limit, True)


def at_least(limit: float) -> Target:
    return Target(lambda _: limit, False)


@dataclass(frozen=True)
class Check:
    """A line of figures."""

    what: str
    figures: tuple[tuple[str, Value], ...]  # at what, value
    target: Target | None = None
    unit: str = "×"
    digits: int = 2
    cpu_used: tuple[tuple[str, Value], ...] = ()  # by label; where it is CPU_BOUND, the target does not apply

    def measured(self, data: Data) -> str:
        texts = [self._text(value(data)) for _, value in self.figures]
        found = "not measured" if set(texts) == {NOTHING} else ", ".join(texts) + self.unit
        return f"{self.what}: {found}" if self.what else found

    def verdict(self, data: Data) -> str:
        """yes; or no, with the labels that miss the target unless all do."""
        values = {label: figure for label, value in self.figures if (figure := value(data)) is not None}
        missing = [label for label, _ in self.figures if label not in values]
        if not values:
            return "not measured"
        if self.target is None:
            return NOTHING
        failed = [label for label, figure in values.items() if not self.target.is_met(figure, data)]
        bound = [label for label, used in self.cpu_used if label in failed and (used(data) or 0) >= CPU_BOUND]
        failed = [label for label in failed if label not in bound]
        if failed:
            answer = "**no**" if len(failed) == len(self.figures) else f"**no**: {'; '.join(failed)}"
        elif len(bound) == len(values):
            answer = "not tested: CPU-bound"
        else:
            answer = f"yes, except where CPU-bound: {'; '.join(bound)}" if bound else "yes"
        return answer + (f" ({'; '.join(missing)} not measured)" if missing else "")

    def _text(self, value: float | None) -> str:
        if value is None:
            return NOTHING
        spread = getattr(value, "spread", None)
        return f"{value:,.{self.digits}f}" + ("" if spread is None else f" ± {spread:,.{self.digits}f}")


def over(program: str, series: str, xs: tuple[int, ...]) -> tuple[tuple[str, Value], ...]:
    return tuple((f"{x:,}", at(program, series, x)) for x in xs)


def only(value: Value) -> tuple[tuple[str, Value], ...]:
    return (("", value),)
