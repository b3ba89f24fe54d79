# SPDX-License-Identifier: BSL-1.0
"""report DATA DOCS: writes DOCS/benchmarks.md, DOCS/benchmarks/appendix.md and DOCS/benchmarks/*.svg."""
import sys
from pathlib import Path

import backends_section
import engine_section
import footprint_section
import get_section
import lifecycle_section
import load_section
import rpc_sections
from data import load_all
from page import appendix, front

SECTIONS = [get_section.SECTION, rpc_sections.WAITING, rpc_sections.RPC, rpc_sections.MESSAGES,
            rpc_sections.STREAMS, load_section.SECTION, lifecycle_section.SECTION, footprint_section.SECTION,
            backends_section.SECTION, engine_section.SECTION]


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: report DATA DOCS")
    (data, *others), docs = load_all(Path(sys.argv[1])), Path(sys.argv[2])
    plots = [plot for section in SECTIONS for plot in section.all_plots()]
    drawn = {plot.file: svg for plot in plots if (svg := plot.draw(data)) is not None}
    folder = docs / "benchmarks"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for file, svg in drawn.items():
        (folder / file).write_text(svg, encoding="utf-8")
    (docs / "benchmarks.md").write_text(front(SECTIONS, drawn, data, others), encoding="utf-8")
    (folder / "appendix.md").write_text(appendix(SECTIONS, drawn, data, others), encoding="utf-8")


if __name__ == "__main__":
    main()
