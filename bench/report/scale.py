# SPDX-License-Identifier: BSL-1.0
"""Where a value is on an axis, and which values are written beside it."""
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    low: float
    high: float
    begin: float  # in pixels, of `low`
    end: float
    logarithmic: bool = False

    def position(self, value: float) -> float:
        if self.high == self.low:
            return self.begin
        low, high, at = (math.log(x) if self.logarithmic else x for x in (self.low, self.high, value))
        return self.begin + (at - low) / (high - low) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        if self.logarithmic:
            exponents = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [10.0**e for e in exponents]
        step = nice_step((self.high - self.low) / 5)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


def nice_step(least: float) -> float:
    """1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def range_of(values: list[float], logarithmic: bool, low: float = 0) -> tuple[float, float]:
    """A little more than the values; from `low`, when the axis is linear."""
    if logarithmic:
        return 10.0 ** math.floor(math.log10(min(values))), 10.0 ** math.ceil(math.log10(max(values)))
    low = min(low, *values)
    width = max(values) - low or 1  # all of them may be zero
    step = nice_step(width / 5)
    return low, low + math.ceil(width / step + 0.2) * step


def label(value: float) -> str:
    return f"{value:,.10g}"
