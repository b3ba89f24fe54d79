# SPDX-License-Identifier: BSL-1.0
"""bench/lifecycle.cpp: what N channels cost."""
from curves import Curve, Curves
from question import Question, Section
from row import Comparison, Row
from values import Check, Target, Value, at, at_most, difference, only, over

SIZES = (1, 100, 1000, 4000)
_CONNECT, _LOSS, _RETURN = ("start -> all connected, ms", "SIGKILL -> all losses seen, ms",
                            "server back -> all connected, ms")
_MEMORY, _THREADS = "RSS per connected channel, KiB", "threads in the process"
_OUTAGE = "CPU while the server is away, ms/s"
_STOP, _DRAIN = "stop() returns (plain: channels dropped), ms", "stop() -> every connection let go of, ms"
_FIRST = "RSS of the first channel in a process, KiB"
_EVENTS = ((_CONNECT, "connected", 0), (_LOSS, "losses noticed", 1), (_RETURN, "connected again", 2))


def _ours(what: str, n: int) -> Value:
    return at("lifecycle", f"conn_grpc: {what}", n)


def _comparison(case: str, what: str, unit: str, target: Target | None = None, digits: int = 1,
                ratio: bool = True) -> Comparison:
    return Comparison(case, "lifecycle", SIZES, f"conn_grpc: {what}", f"plain gRPC: {what}",
                      f"ratio: {what}" if ratio else None, unit, target, digits)


def _idle(what: str, name: str, unit: str) -> tuple[Check, ...]:
    def of(whose: str) -> Value:
        return at("lifecycle", f"{whose}: idle, {what}", 1000)

    return (Check(f"{name}, pool of 1,000", only(of("conn_grpc")), Target(of("no channels, at most"), True), unit),
            Check(f"{name}, 1,000 of bare gRPC", only(of("plain gRPC")), None, unit),
            Check(f"{name}, idle process", only(of("no channels")), None, unit),
            Check(f"{name}, idle process, its busiest second", only(of("no channels, at most")), None, unit))


_ALL_SIZES = "1, 100, 1,000, 4,000 channels"

ROWS = (
    Row("A loss", "until it is noticed and until all are back, N channels", "bare gRPC", "≤ 1.1",
        (_comparison("noticed, N = {}", _LOSS, " ms", at_most(1.1)),
         _comparison("back, N = {}", _RETURN, " ms", at_most(1.1))),
        "Here both try again 100 ms after each failed attempt, and that is part of the time until all are back. By "
        "default conn_grpc waits for 1 to 30 s. 1,000 channels and more keep all CPUs busy, because the server "
        "is on the same machine. So the time until all are back misses the target, and with 4,000 also the time to "
        "notice. With gRPC 1.83 the time to notice misses it for each N. Connecting again takes longer where many "
        "attempts are under way when the server comes back: each is a new gRPC channel, which gRPC must make and destroy "
        "([attempts.md](design/attempts.md)).",
        Curves("lifecycle-times.svg", "N channels: time to connect, to notice a loss, to connect again", "channels",
               "ms", tuple(
                   Curve(f"{name}, {who}", "lifecycle", f"{series}: {what}", colour, dashed)
                   for what, name, colour in _EVENTS
                   for who, series, dashed in (("conn_grpc", "conn_grpc", False), ("bare", "plain gRPC", True))),
               logarithmic=True)),
    Row("Stop", "`stop()`, N channels", "destroying channels of bare gRPC", "none",
        (_comparison("returns, N = {}", _STOP, " ms", digits=2, ratio=False),
         _comparison("all closed, N = {}", _DRAIN, " ms")),
        "`stop()` does not hold up the thread that calls it: it returns at once, and the strand releases the "
        "connections. Bare gRPC closes its connections on the thread that destroys the channels."),
    Row("Memory", "of a connected channel, N channels", "`grpc::Channel` and a watch", "≤ 1.05",
        (_comparison("N = {}", _MEMORY, " KiB", at_most(1.05)),),
        "With gRPC 1.51, a channel in a large pool takes no more memory than one of bare gRPC. One channel alone "
        "misses the target: the pool makes it on the `io_context`'s thread, which has its own heap in glibc. The channel of bare gRPC "
        "reuses memory that an earlier channel has released on its thread. With gRPC 1.83, a channel in a pool of 100 "
        "or more takes 13 to 14 % more: [performance.md](design/performance.md#the-memory-of-an-idle-channel) has what it "
        "consists of."),
)

QUESTIONS = (
    Question("time until all are connected", "bare gRPC", "≤ 1.1×",
             (Check("", over("lifecycle", f"ratio: {_CONNECT}", SIZES), at_most(1.1)),), _ALL_SIZES,
             "One channel connects within a few milliseconds, and its loss is noticed within a few. So tenths of a "
             "millisecond make such a ratio. A thousand at once keep all CPUs busy, with the server on the same "
             "machine, and there are few runs of that size."),
    Question("memory of the first channel in a process that has used gRPC", "–", "none",
             (Check("", only(_ours(_FIRST, 1)), None, " KiB", 0),), "",
             "gRPC and conn_grpc need some memory once per process. So a channel of each is made and destroyed before "
             "the others, and the memory per channel does not contain that memory. The figure is conn_grpc's part, "
             "most of which is pages of the library. Memory is counted in pages of 4 KiB."),
    Question("idle pool of 1,000", "idle process", "no more than the idle process in its busiest second",
             _idle("CPU, ms/s", "CPU", " ms/s") +
             _idle("voluntary context switches, /s", "context switches", " /s"), "",
             "The idle process is the same process before it connects, with gRPC in use. The CPU time that idle "
             "channels add is gRPC's: bare gRPC uses as much, and `perf` finds it in the thread of gRPC's timers, "
             "which wakes no more often."),
    Question("CPU while the server is away", "bare gRPC", "none",
             (Check("ratio", over("lifecycle", f"ratio: {_OUTAGE}", SIZES)),
              Check("CPU, conn_grpc", tuple((f"{n:,}", _ours(_OUTAGE, n)) for n in SIZES), None, " ms/s", 0)),
             _ALL_SIZES,
             "Both try again 100 ms after each failure; by default conn_grpc waits for 1 to 30 s. Each attempt of "
             "conn_grpc is a new gRPC channel, and bare gRPC keeps the one that it has; "
             "[attempts.md](../design/attempts.md) has the reason. A thousand channels of either need more CPUs than "
             "there are."),
    Question("threads", "bare gRPC", "≤ 1 more",
             (Check("more", tuple((f"{n:,}", difference(_ours(_THREADS, n), at("lifecycle", f"plain gRPC: {_THREADS}",
                                                                              n))) for n in SIZES),
                    at_most(1), "", 0),), _ALL_SIZES,
             "The thread is the `io_context`'s, which a program has anyway. gRPC itself decides how many threads it "
             "starts."),
)

PLOTS = (
    Curves("lifecycle-ratios.svg", "N channels, compared with N channels of bare gRPC", "channels", "ratio of times",
           tuple(Curve(name, "lifecycle", f"ratio: {what}", colour) for what, name, colour in _EVENTS),
           target=1.1, target_name="target: 1.1"),
    Curves("lifecycle-memory.svg", "Memory per connected channel", "channels", "KiB resident per channel", (
        Curve("conn_grpc", "lifecycle", f"conn_grpc: {_MEMORY}", 0),
        Curve("bare gRPC", "lifecycle", f"plain gRPC: {_MEMORY}", 1, True)), logarithmic=True),
)

SECTION = Section("lifecycle", "What do N channels cost, and how long do a loss and the return take?",
                  "conn_grpc is compared with the same number of channels of bare gRPC, each with a watch (`plain "
                  "gRPC` in the output). Each measurement has a process of its own, and the two take turns.",
                  QUESTIONS, PLOTS, ROWS)
