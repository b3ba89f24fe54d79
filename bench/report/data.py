# SPDX-License-Identifier: BSL-1.0
"""What the benchmarks write to the folder of a version of gRPC: NAME.tsv, NAME.txt and NAME.run, and machine.tsv."""
from dataclasses import dataclass
from pathlib import Path

DECIDES = "grpc-1.51"  # Debian 12's and 13's
PROGRAMS = ("get", "waiting", "rpc", "messages", "streams", "load", "lifecycle", "footprint", "backends",
            "engine")


class Figure(float):
    """The median of many rounds. Half of them differ from it by no more than the spread, if that is known."""

    spread: float | None = None


@dataclass(frozen=True)
class Data:
    values: dict[tuple[str, str], dict[float, Figure]]  # (program, series): x: value
    printed: dict[str, str]
    runs: dict[str, dict[str, str]]
    machine: dict[str, str]

    def value(self, program: str, series: str, x: float) -> float | None:
        return self.values.get((program, series), {}).get(x)

    def curve(self, program: str, series: str) -> list[tuple[float, float]]:
        return sorted(self.values.get((program, series), {}).items())


def _pairs(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t", 1) for line in lines if "\t" in line)


def load(folder: Path) -> Data:
    values: dict[tuple[str, str], dict[float, Figure]] = {}
    for path in folder.glob("*.tsv"):
        if path.stem == "machine":
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            series, x, value, *spread = line.split("\t")
            figure = values.setdefault((path.stem, series), {})[float(x)] = Figure(value)
            figure.spread = float(spread[0]) if spread else None
    printed = {path.stem: path.read_text(encoding="utf-8").rstrip() for path in folder.glob("*.txt")}
    runs = {path.stem: _pairs(path) for path in folder.glob("*.run")}
    return Data(values, printed, runs, _pairs(folder / "machine.tsv"))


def load_all(folder: Path) -> list[Data]:
    """Of each version of gRPC. First the version that the pages are about, then the others, the oldest first."""
    names = {path.name for path in folder.glob("grpc-*")} - {DECIDES}
    by_age = sorted(names, key=lambda name: [int(part) for part in name.removeprefix("grpc-").split(".")])
    return [load(folder / name) for name in (DECIDES, *by_age)]
