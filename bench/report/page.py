# SPDX-License-Identifier: BSL-1.0
"""docs/benchmarks.md, out of the sections."""
import textwrap

from data import PROGRAMS, Data
from question import Question, Section

INTRODUCTION = """# Benchmarks

<!-- Written by bench/run: edit bench/report instead. -->

```sh
bench/run               # installs, builds, measures everything and writes this page: ten minutes, alone on the machine
bench/run get rpc       # measures these two again
bench/run --render      # writes the page again
```

Every figure is a median of several runs, except CPU time and context switches, which are means. Every ratio is to
something measured in the same process or the same run. Seconds depend on the machine, ratios less so.
"""


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _machine(data: Data) -> str:
    rows = [[name, value] for name, value in data.machine.items()]
    runs = [[f"`{name}`", run.get("date", ""), f"`{run.get('commit', '')}`", f"{run.get('seconds', '')} s",
             run.get("load before", "")] for name in PROGRAMS if (run := data.runs.get(name))]
    return ("## The machine\n\n" + _table(["", ""], rows) + "\n" +
            _table(["program", "measured", "commit", "took", "load average before"], runs))


def _answer(question: Question, data: Data) -> list[str]:
    title = f"{question.title}<br>({question.at})" if question.at else question.title
    return [title, question.against, question.reach, "<br>".join(question.measured(data)),
            "<br>".join(question.verdicts(data))]


def _summary(sections: list[Section], data: Data) -> str:
    rows = [_answer(question, data) for section in sections for question in section.questions]
    return "## Summary\n\n" + _table(["question", "measured against", "reach", "measured", "holds?"], rows)


def _section(section: Section, drawn: dict[str, str], data: Data) -> str:
    notes = [textwrap.fill(f"- {question.title}: {question.note}", 120, subsequent_indent="  ", break_on_hyphens=False)
             for question in section.questions if question.note]
    parts = [f"## {section.title}", textwrap.fill(section.how, 120, break_on_hyphens=False), "\n".join(notes)]
    for plot in section.plots:
        if plot.file in drawn:
            parts.append(f"![{plot.title}](benchmarks/{plot.file})")
    printed = data.printed.get(section.program)
    parts.append(f"What `bench/{section.program}` printed:\n\n```\n{printed}\n```" if printed else "Not measured.")
    return "\n\n".join(filter(None, parts)) + "\n"


def page(sections: list[Section], drawn: dict[str, str], data: Data) -> str:
    """@param drawn: the plots that there are, by file name."""
    return "\n".join([INTRODUCTION, _machine(data), _summary(sections, data),
                      *(_section(section, drawn, data) for section in sections)])
