# SPDX-License-Identifier: BSL-1.0
"""bench/engine.cpp: gRPC inside of the io_context, with a gRPC that has a public EventEngine."""
from question import Question, Section
from values import Check, Target, at, at_least, at_most, only

_LOADS = (1, 64, 1_000)
_CASES = ("read", "written", "written, and answered")
_STEPS = ("connect", "lose", "regain")


def _rates(series: str, targets: tuple[Target, ...]) -> tuple[Check, ...]:
    return tuple(Check(f"{load:,} in flight", only(at("engine", f"{series}: RPC/s, ratio", load)), target)
                 for load, target in zip(_LOADS, targets))


def _cpu(series: str) -> tuple[Check, ...]:
    return tuple(Check(f"{load:,} in flight", only(at("engine", f"{series}: CPU per RPC, ratio", load)))
                 for load in _LOADS)


QUESTIONS = (
    Question("RPCs per second of a pool in a scope", "the same without", "≥ 1.3, 1.5, 1.3",
             _rates("pool: scope to own engine", (at_least(1.3), at_least(1.5), at_least(1.3)))),
    Question("RPCs per second of a pool in a scope", "gRPC's callback API without", "≥ 1.1, 1.4, 1.2",
             _rates("pool in a scope to bare, own engine", (at_least(1.1), at_least(1.4), at_least(1.2)))),
    Question("CPU time of the client per RPC", "the same without", "none", _cpu("pool: scope to own engine")),
    Question("messages per second of a stream in a scope", "the same without", "≥ 1",
             tuple(Check(case, only(at("engine", f"stream, {case}: scope to own engine", 1)), at_least(1))
                   for case in _CASES)),
    Question("CPU time of the client per message", "the same without", "none",
             tuple(Check(case, only(at("engine", f"stream, {case}: CPU, scope to own engine", 1))) for case in _CASES)),
    Question("time of 1,000 channels in a scope", "the same without", "≤ 1",
             tuple(Check(step, only(at("engine", f"1,000 channels, scope to own engine: {step}", 0)), at_most(1))
                   for step in _STEPS)),
)

SECTION = Section("engine", "What does gRPC inside of the io_context give?",
                  "A pool with five connections, one stream, and a pool of 1,000 channels, each in an "
                  "`event_engine_scope` with one thread, and with gRPC's own engine. Each number is from a process of "
                  "its own.", QUESTIONS, ())
