# SPDX-License-Identifier: BSL-1.0
"""docs/benchmarks.md and its appendix, docs/benchmarks/appendix.md, made from the sections."""
import textwrap

from data import PROGRAMS, Data
from question import Question, Section
from row import Plot
from values import NOTHING

MOST_BY_OTHERS = 5  # % of all CPUs
GENERATED = "<!-- Written by bench/run: edit bench/report instead. -->"

FRONT = f"""# Benchmarks

{GENERATED}

conn_grpc is compared with *bare gRPC*: a program that does the same work with gRPC's own API alone. A get is also
compared with *the limit*, the simplest code that returns channels in turn: a `fetch_add`, a modulo, and the copy of a
`shared_ptr`. Each figure is a median. The number after ± is the median distance from it: half of the runs are at most
that far away. Each ratio is the median of the ratios within each run, so it is not the quotient of the two figures
beside it. The targets were set before the first measurement. The [appendix](benchmarks/appendix.md) has all other
results, and how to measure again.
"""

APPENDIX = f"""# Benchmarks: appendix

{GENERATED}

[benchmarks.md](../benchmarks.md) has the results that decide whether to use the library. This page has the other
results, the outputs of the programs, and how to measure:

```sh
bench/run               # installs, builds, measures for half an hour, alone on the machine, and writes both pages
bench/run get rpc       # measures these two again
bench/run --render      # writes the pages again; needs Python only
```

The numbers are of the version of gRPC that "The machine" names. Each other version that was measured has a column in
the table of benchmarks.md, and a section at the end of this page.

Every figure is a median of several runs, except CPU time and context switches, which are means. A ratio is the median
of the ratios within each run, to something measured in the same run. So what slows a whole run down cancels out. The
ratio is not the quotient of the two medians beside it, which may be of different runs. Half of all runs are within ±,
where the page has one. Seconds depend on the machine, ratios depend less on it.

Debian has no other pool of gRPC channels, and no other way for Asio to await an RPC. So the library is compared with
gRPC and Asio themselves. [other_pools.hpp](../../bench/other_pools.hpp) has the ways in which other pools return
their connections. *The limit* is the simplest code that returns channels in turn: one `fetch_add`, one modulo, and one
copy of a `shared_ptr`.

A target was set before the first measurement. It is compared with the median. A **no** names the sizes that miss the
target, unless all of them do. The sections below the table explain why. [performance.md](../design/performance.md)
lists the steps of the optimisation, with what each of them gave.
"""


def _grpc(data: Data) -> str:
    return f"gRPC {data.machine.get('gRPC', 'of an unknown version')}"


def _measured(sections: list[Section], data: Data) -> list[Section]:
    return [section for section in sections if section.program in data.runs]


def _warnings(sections: list[Section], data: Data) -> list[str]:
    runs = {section.program: data.runs.get(section.program, {}) for section in sections}
    commits = {run.get("commit", "unknown") for run in runs.values()}
    reasons = []
    if len(commits) > 1 or any("changed" in commit for commit in commits):
        reasons.append(f"> **Not one measurement, {_grpc(data)}:** the programs were built from different commits, or "
                       "from sources with uncommitted changes.\n")
    crowded = [f"`{name}`" for name, run in runs.items()
               if int(run.get("others before", "0 %").split()[0]) > MOST_BY_OTHERS]
    if crowded:
        reasons.append(f"> **Not alone, {_grpc(data)}:** before {', '.join(crowded)} began, other processes used more than "
                       f"{MOST_BY_OTHERS} % of the CPUs.\n")
    return reasons


def _filled(paragraph: str, indent: str = "") -> str:
    return textwrap.fill(paragraph, 120, subsequent_indent=indent, break_on_hyphens=False)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _plots(plots: list[Plot], drawn: dict[str, str], folder: str) -> list[str]:
    return [f"![{plot.title}]({folder}{plot.file})" for plot in plots if plot.file in drawn]


def _machine_parts(data: Data) -> list[str]:
    units = {"CPU": "", "cores": " cores", "memory": " of memory", "system": "", "compiler": ""}
    parts = [data.machine[name] + unit for name, unit in units.items() if name in data.machine]
    return parts + [f"{name} {data.machine[name]}" for name in ("gRPC", "Boost") if name in data.machine]


def _machine_line(data: Data) -> str:
    return f"Machine, for client and server: {'; '.join(_machine_parts(data)) or 'unknown'}.\n"


def _other_line(data: Data, other: Data) -> str:
    differs = [part for part in _machine_parts(other) if part not in _machine_parts(data)]
    scope = (" They are without an `event_engine_scope`. In a scope an RPC makes no *hop*, a switch to another thread: "
             "[what a scope gains](inside-the-io-context.md#what-it-gains).") if "engine" in other.runs else ""
    return _filled(f"The column {_grpc(other)} has conn_grpc's figure and its ratio, and **no** where the target is "
                   f"missed. Compare its ratios with those of the column *ratio*, but not its figures: they were measured "
                   f"with {'; '.join(differs)}.{scope} A single value in a cell holds for all cases of the row.") + "\n"


def front(sections: list[Section], drawn: dict[str, str], data: Data, others: list[Data]) -> str:
    """docs/benchmarks.md. @param drawn: the plots that exist, by file name."""
    sections = [section for section in sections if section.rows]
    rows = [row for section in sections for row in section.rows]
    lines = [row.cells(data, others) for row in rows]
    table = _table(["", "case", "conn_grpc", "compared with", "ratio", "target", "met", *map(_grpc, others)], lines)
    missing = [f"{NOTHING} in the column {_grpc(other)}: not measured.\n"
               for column, other in enumerate(others, -len(others)) if any(NOTHING in line[column] for line in lines)]
    texts = ["\n\n".join([f"## {row.title}", _filled(row.meaning),
                          *_plots([row.plot] if row.plot else [], drawn, "benchmarks/")]) + "\n" for row in rows]
    beside = [line for other in others
              for line in (_other_line(data, other), *_warnings(_measured(sections, other), other))]
    return "\n".join([FRONT, _machine_line(data), *_warnings(sections, data), *beside, table, *missing, *texts])


def _machine(data: Data) -> str:
    rows = [[name, value] for name, value in data.machine.items()]
    runs = [[f"`{name}`", run.get("date", ""), f"`{run.get('commit', '')}`", f"{run.get('seconds', '')} s",
             run.get("others before", "")] for name in PROGRAMS if (run := data.runs.get(name))]
    return (_table(["", ""], rows) + "\n" +
            _table(["program", "measured", "commit", "took", "CPU use of other processes before"], runs))


def _answer(question: Question, data: Data) -> list[str]:
    title = f"{question.title}<br>({question.at})" if question.at else question.title
    return [title, question.against, question.target, "<br>".join(question.measured(data)),
            "<br>".join(question.verdicts(data))]


def _results(sections: list[Section], data: Data) -> str:
    rows = [_answer(question, data) for section in sections for question in section.questions]
    return _table(["question", "compared with", "target", "measured", "target met?"], rows)


def _output(section: Section, data: Data) -> str:
    printed = data.printed.get(section.program)
    return f"Output of `bench/{section.program}`:\n\n```\n{printed}\n```" if printed else "The output is lost."


def _section(section: Section, drawn: dict[str, str], data: Data) -> str:
    notes = [_filled(f"- {question.title}: {question.note}", "  ") for question in section.questions if question.note]
    parts = [f"## {section.title}", _filled(section.how), "\n".join(notes), *_plots(list(section.plots), drawn, ""),
             _output(section, data)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _with_other_grpc(sections: list[Section], other: Data) -> str:
    measured = _measured(sections, other)
    parts = [f"## With {_grpc(other)}", *_warnings(measured, other), _machine(other), _results(measured, other),
             *(_output(section, other) + "\n" for section in measured)]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def appendix(sections: list[Section], drawn: dict[str, str], data: Data, others: list[Data]) -> str:
    """docs/benchmarks/appendix.md. @param drawn: the plots that exist, by file name."""
    own = _measured(sections, data)
    return "\n".join([APPENDIX, *_warnings(own, data), "## The machine\n", _machine(data), "## Results\n",
                      _results(own, data), *(_section(section, drawn, data) for section in own),
                      *(_with_other_grpc(sections, other) for other in others)])
