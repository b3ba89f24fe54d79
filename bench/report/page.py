# SPDX-License-Identifier: BSL-1.0
"""docs/benchmarks.md, out of the sections."""
import textwrap

from data import PROGRAMS, Data
from question import Question, Section

MOST_BY_OTHERS = 5  # % of all CPUs

INTRODUCTION = """# Benchmarks

<!-- Written by bench/run: edit bench/report instead. -->

```sh
bench/run               # installs, builds, measures for fifteen minutes, alone on the machine, and writes this page
bench/run get rpc       # measures these two again
bench/run --render      # writes the page again
```

Every figure is a median of several runs, except CPU time and context switches, which are means. A ratio is the median
of the ratios within each run, to something measured in the same run: what slows a whole run down cancels out there, and
so it is not the quotient of the two medians beside it, which may be of different runs. Half of all runs are within what
± says, where there is one. Seconds depend on the machine, ratios less so.

Debian has no other pool of gRPC channels, nor another way for Asio to await an RPC. So gRPC and Asio themselves are run
beside the library, and how other pools hand out what they have is re-stated in
[other_pools.hpp](../bench/other_pools.hpp). "The limit" is what no pool can do without: one `fetch_add`, and one copy
of a `shared_ptr`.

"Reach" is what was to be reached before anything was measured; what has none is "stated". It is held against the
median. A "**no**" names the sizes where it is missed, unless that is all of them; the section of the question says why.
[performance.md](design/performance.md) has what each step on the way here gave.
"""


def _warnings(data: Data) -> list[str]:
    runs = [data.runs.get(name, {}) for name in PROGRAMS]
    commits = {run.get("commit", "unknown") for run in runs}
    reasons = []
    if len(commits) > 1 or any("changed" in commit for commit in commits):
        reasons.append("**Not one measurement:** the programs are of different commits, or of changed ones.")
    if any(int(run.get("others before", "0 %").split()[0]) > MOST_BY_OTHERS for run in runs):
        reasons.append(f"**Not alone:** before a program began, others used more than {MOST_BY_OTHERS} % of the CPUs.")
    return reasons


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _machine(data: Data) -> str:
    rows = [[name, value] for name, value in data.machine.items()]
    runs = [[f"`{name}`", run.get("date", ""), f"`{run.get('commit', '')}`", f"{run.get('seconds', '')} s",
             run.get("others before", "")] for name in PROGRAMS if (run := data.runs.get(name))]
    return ("## The machine\n\n" + _table(["", ""], rows) + "\n" +
            _table(["program", "measured", "commit", "took", "CPUs used by others before"], runs))


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
    return "\n".join([INTRODUCTION, *(f"> {warning}\n" for warning in _warnings(data)), _machine(data),
                      _summary(sections, data), *(_section(section, drawn, data) for section in sections)])
