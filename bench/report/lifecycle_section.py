# SPDX-License-Identifier: BSL-1.0
"""bench/lifecycle.cpp: what N channels cost."""
from curves import Curve, Curves
from question import Question, Section
from values import Check, Reach, Value, at, at_most, difference, only, over

SIZES = (1, 100, 1000, 4000)
_CONNECT, _LOSS, _RETURN = ("start -> all connected, ms", "SIGKILL -> all losses seen, ms",
                            "server back -> all connected, ms")
_MEMORY, _THREADS = "RSS per connected channel, KiB", "threads in the process"
_OUTAGE = "CPU while the server is away, ms/s"
_STOP, _DRAIN = "stop() returns (plain: channels dropped), ms", "stop() -> every connection let go of, ms"
_FIRST = "RSS of the first channel in a process, KiB"
_EVENTS = ((_CONNECT, "connected", 0), (_LOSS, "losses seen", 1), (_RETURN, "connected again", 2))


def _ours(what: str, n: int) -> Value:
    return at("lifecycle", f"conn_grpc: {what}", n)


def _bare(what: str, n: int) -> Value:
    return at("lifecycle", f"plain gRPC: {what}", n)


def _ratios(name: str, what: str, limit: float) -> Check:
    return Check(name, over("lifecycle", f"ratio: {what}", SIZES), at_most(limit))


def _idle(what: str, name: str, unit: str) -> tuple[Check, ...]:
    def of(whose: str) -> Value:
        return at("lifecycle", f"{whose}: idle, {what}", 1000)

    return (Check(f"{name}, pool of 1,000", only(of("conn_grpc")), Reach(of("no channels, at most"), True), unit),
            Check(f"{name}, 1,000 of bare gRPC", only(of("plain gRPC")), None, unit),
            Check(f"{name}, idle process", only(of("no channels")), None, unit),
            Check(f"{name}, idle process, its busiest second", only(of("no channels, at most")), None, unit))


_ALL_SIZES = "1, 100, 1,000, 4,000 channels"

QUESTIONS = (
    Question("time to all connected, to notice loss, to all back", "bare gRPC", "≤ 1.1×",
             tuple(_ratios(name, what, 1.1) for what, name, _ in _EVENTS), _ALL_SIZES,
             "One channel connects in a few milliseconds and its loss is noticed in as many: tenths of a millisecond "
             "make such a ratio. A thousand at once keep all CPUs busy, with the server on the same machine, and a few "
             "runs of that scatter. Connecting again takes longer where many attempts are under way when the server "
             "comes back: each is a channel of its own, which gRPC must make and drop."),
    Question("memory per connected channel", "bare `grpc::Channel` + watch", "≤ 1.05×",
             (_ratios("", _MEMORY, 1.05),
              Check("the first in a process that has used gRPC", (("", _ours(_FIRST, 1)),), None, " KiB", 0)),
             _ALL_SIZES,
             "What gRPC and conn_grpc need once per process is paid before, by a channel that has gone again: the "
             "second line, most of which is pages of the library. What one channel takes is counted in pages of "
             "4 KiB, and one page more or less is a third."),
    Question("idle pool of 1,000", "idle process", "indistinguishable",
             _idle("CPU, ms/s", "CPU", " ms/s") +
             _idle("voluntary context switches, /s", "context switches", " /s"), "",
             "The idle process is the same one before it connects, with gRPC up. Indistinguishable means: not above "
             "the busiest second that such a process has by itself. The CPU time that idle channels add is gRPC's: "
             "bare gRPC uses as much, and `perf` finds it in the thread of gRPC's timers, which wakes no more often."),
    Question("CPU while the server is away", "bare gRPC", "stated",
             (Check("of bare gRPC's", over("lifecycle", f"ratio: {_OUTAGE}", SIZES)),
              Check("CPU, conn_grpc", tuple((f"{n:,}", _ours(_OUTAGE, n)) for n in SIZES), None, " ms/s", 0)),
             _ALL_SIZES,
             "Both try again 100 ms after each failure; by default conn_grpc waits for 1 to 30 s. Every attempt is a "
             "new gRPC channel, where gRPC goes on with the one it has; design/attempts.md says why. A thousand "
             "of either need more CPUs than there are."),
    Question("`stop()`", "dropping as many channels of bare gRPC", "stated",
             (Check("until it returns", tuple((f"{n:,}", _ours(_STOP, n)) for n in SIZES), None, " ms"),
              Check("bare gRPC", tuple((f"{n:,}", _bare(_STOP, n)) for n in SIZES), None, " ms"),
              Check("until every connection is closed, of bare gRPC's", over("lifecycle", f"ratio: {_DRAIN}", SIZES))),
             _ALL_SIZES, "`stop()` returns at once; the strand lets go of the connections."),
    Question("threads", "bare gRPC", "+1",
             (Check("more", tuple((f"{n:,}", difference(_ours(_THREADS, n), _bare(_THREADS, n))) for n in SIZES),
                    at_most(1), "", 0),), _ALL_SIZES,
             "The thread is the `io_context`'s, which a program has anyway. gRPC makes more or fewer of its own as it "
             "sees fit."),
)

PLOTS = (
    Curves("lifecycle-times.svg", "N channels: connecting, noticing a loss, connecting again", "channels", "ms", tuple(
        Curve(f"{name}, {who}", "lifecycle", f"{series}: {what}", colour, dashed)
        for what, name, colour in _EVENTS
        for who, series, dashed in (("conn_grpc", "conn_grpc", False), ("bare", "plain gRPC", True))),
        logarithmic=True),
    Curves("lifecycle-ratios.svg", "N channels against as many of bare gRPC", "channels", "ratio of times", tuple(
        Curve(name, "lifecycle", f"ratio: {what}", colour) for what, name, colour in _EVENTS),
        reach=1.1, reach_name="reach: 1.1"),
    Curves("lifecycle-memory.svg", "Memory per connected channel", "channels", "KiB resident per channel", (
        Curve("conn_grpc", "lifecycle", f"conn_grpc: {_MEMORY}", 0),
        Curve("bare gRPC", "lifecycle", f"plain gRPC: {_MEMORY}", 1, True)), logarithmic=True),
)

SECTION = Section("lifecycle", "What do N channels cost, and how fast are loss and return?",
                  "conn_grpc beside the same number of plain gRPC channels, watched by hand. Each measurement is made "
                  "in a process of its own, by turns.", QUESTIONS, PLOTS)
