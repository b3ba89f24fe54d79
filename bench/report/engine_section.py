# SPDX-License-Identifier: BSL-1.0
"""bench/engine.cpp: gRPC inside of the io_context, with a gRPC that has a public EventEngine."""
from question import Question, Section
from values import Check, Target, at, at_least, at_most, only

_LOADS = (1, 64, 1_000)
_CASES = ("read", "written", "written, and answered")
_STEPS = ("connect", "lose", "regain")
_USES = ("CPU when idle, ms/s", "memory of a channel, KiB")


def _rates(series: str, targets: tuple[Target, ...]) -> tuple[Check, ...]:
    return tuple(Check(f"{load:,} in flight", only(at("engine", f"{series}: RPC/s, ratio", load)), target)
                 for load, target in zip(_LOADS, targets))


def _of_each_load(series: str, what: str, target: Target | None = None) -> tuple[Check, ...]:
    return tuple(Check(f"{load:,} in flight", only(at("engine", f"{series}: {what}, ratio", load)), target)
                 for load in _LOADS)


def _of_channels(threads: str, what: str, target: Target | None = None) -> Check:
    return Check(what.split(",")[0], only(at("engine", f"1,000 channels in a scope{threads}: {what}", 0)), target)


QUESTIONS = (
    Question("RPCs per second of a pool in a scope", "a pool without a scope", "≥ 1.3, 1.5, 1.3",
             _rates("pool: scope to own engine", (at_least(1.3), at_least(1.5), at_least(1.3)))),
    Question("RPCs per second of a pool in a scope", "gRPC's callback API without a scope", "≥ 1.1, 1.4, 1.2",
             _rates("pool in a scope to bare, own engine", (at_least(1.1), at_least(1.4), at_least(1.2)))),
    Question("CPU time of the client per RPC, pool in a scope", "a pool without a scope", "none",
             _of_each_load("pool: scope to own engine", "CPU per RPC")),
    Question("99th percentile of the time of an RPC, pool in a scope", "a pool without a scope", "≤ 1",
             _of_each_load("pool: scope to own engine", "p99", at_most(1))),
    Question("RPCs per second of a pool in a scope with `busy_poll` 100 μs", "a pool without a scope", "none",
             _of_each_load("pool: busy scope to own engine", "RPC/s")),
    Question("RPCs per second of a pool in a scope with `busy_poll` 100 μs", "gRPC's callback API without a scope",
             "none", _of_each_load("pool in a busy scope to bare, own engine", "RPC/s")),
    Question("CPU time of the client per RPC, pool in a scope with `busy_poll` 100 μs", "a pool without a scope",
             "none", _of_each_load("pool: busy scope to own engine", "CPU per RPC")),
    Question("messages per second of a stream in a scope", "a stream without a scope", "≥ 1",
             tuple(Check(case, only(at("engine", f"stream, {case}: scope to own engine", 1)), at_least(1))
                   for case in _CASES)),
    Question("CPU time of the client per message, stream in a scope", "a stream without a scope", "none",
             tuple(Check(case, only(at("engine", f"stream, {case}: CPU, scope to own engine", 1))) for case in _CASES)),
    Question("time until 1,000 channels in a scope are connected, are lost, are connected again",
             "1,000 channels without a scope", "≤ 1",
             tuple(_of_channels("", f"{step}, ms, ratio", at_most(1)) for step in _STEPS)),
    Question("the same times, when two threads run `io`", "1,000 channels without a scope, one thread runs `io`", "≤ 1",
             tuple(_of_channels(", two threads", f"{step}, ms, ratio", at_most(1)) for step in _STEPS)),
    Question("what 1,000 connected channels in a scope use", "1,000 channels without a scope", "none",
             tuple(_of_channels("", f"{use}, ratio") for use in _USES)),
    Question("threads of the process with 1,000 channels in a scope", "–", "none",
             (Check("", only(at("engine", "1,000 channels in a scope: threads", 0)), unit="", digits=0),)),
)

SECTION = Section("engine", "What does gRPC inside of the io_context give?",
                  "RPCs through a pool with five connections, one stream, and a pool of 1,000 channels. Each is measured "
                  "in an `event_engine_scope` and with gRPC's own engine. RPCs are also measured with `busy_poll`, and "
                  "the 1,000 channels also with two threads that run `io`. Each number is from a process of its own.",
                  QUESTIONS, ())
