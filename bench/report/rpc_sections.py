# SPDX-License-Identifier: BSL-1.0
"""bench/waiting.cpp, bench/rpc.cpp and bench/streams.cpp: from the connection to the answer."""
from curves import Curve, Curves
from question import Question, Section
from values import Check, Value, at, at_least, at_most, only, over

_THREADS = ("same thread", "other thread")
_LOADS = (1, 64, 1000)
_CALLS = "get_channel(), stub, unary"
_BESIDE = (("by way of an io_context", "posted to an `io_context`", "to posted callbacks", 1),
           ("by way of a coroutine", "awaited in a coroutine there", "to awaited callbacks", 2))
_CONNECTIONS = ("1 connection", "5 connections")
_CHANNELS = (2, 5, 10)
_STREAMS = (10, 100)


def _used(limit: int) -> tuple[tuple[str, Value], ...]:
    return over("streams", f"{limit} streams: of all CPUs", _CHANNELS)


WAITING = Section(
    "waiting", "What does a waiting get cost?",
    "From the moment that the pool has seen the connection (it resets the channel's backoff first, which takes the "
    "time) until the coroutine that waits for it runs: on the thread that runs the pool, and on another one. How gRPC's "
    "thread wakes the pool comes before, and takes one post more. Asio's timer and channel are other ways to wait.",
    (Question("waiting get: connect → coroutine runs", "one post to the executor", "≤ 2×",
              tuple(Check(f"1 waits, {where}", only(at("waiting", f"{where}, pool.get_channel(timeout): ratio", 1)),
                          at_most(2)) for where in _THREADS) +
              tuple(Check(f"100, 10,000 wait, {where}, each",
                          over("waiting", f"{where}, pool.get_channel(timeout): ratio", (100, 10_000)))
                    for where in _THREADS) +
              tuple(Check(f"the first of 100, 10,000, {where}",
                          over("waiting", f"{where}, pool.get_channel(timeout): us until the first runs",
                               (100, 10_000)), None, " µs", 0) for where in _THREADS), "",
              "A connection is more than a post: a new snapshot, the channel's status, and what the channel waits for "
              "next, which on the same thread comes before the coroutine. It is some microseconds, once for each "
              "loss. All who wait are answered, in turn, before the first is told: one lock, and nobody can come "
              "between them. So the first of many hears late, and the last, for that, early: each costs a few posts."),),
    tuple(Curves(f"waiting-{where.split()[0]}-thread.svg",
                 f"From connected to the last of N coroutines, on the {where}",
                 "coroutines that wait", "ratio to as many posts",
                 tuple(Curve(name, "waiting", f"{where}, {series}: ratio", colour)
                       for name, series, colour in (("get_channel(timeout)", "pool.get_channel(timeout)", 0),
                                                    ("timer, cancelled", "timer, cancelled", 1),
                                                    ("concurrent_channel", "Asio's concurrent_channel", 2))),
                 reach=2, reach_name="reach, for 1: 2")
          for where in _THREADS))

RPC = Section(
    "rpc", "What does an RPC through the pool cost?",
    "Coroutines that get a channel, make a stub and await `unary`, on an `io_context` with one thread. The bare "
    "callback API begins the next RPC on gRPC's own thread; by way of an `io_context` is what a program does whose "
    "RPCs end where the rest of it runs; by way of a coroutine is the least code with which a coroutine there can "
    "await a callback.",
    (Question("RPC through pool + `unary`", "bare callback API", "≥ 0.97",
              tuple(Check(n, over("rpc", f"{_CALLS}, {n}: RPC/s, ratio", _LOADS), at_least(0.97))
                    for n in _CONNECTIONS) +
              tuple(Check(f"against the same {how}, {n}",
                          over("rpc", f"the last against {way}, {n}: RPC/s, ratio", _LOADS))
                    for way, how, _, _ in _BESIDE for n in _CONNECTIONS),
              "1, 64, 1,000 in flight",
              "A coroutine goes on where its executor runs, which is a hop to another thread for each RPC. The figures "
              "by way of an `io_context` have that hop on both sides, those by way of a coroutine also the coroutine. "
              "What then is left: a get and a stub for each RPC, and what a completion of `unary` does that can be "
              "cancelled. More connections make an RPC dearer for everybody: each is a socket that is written, polled "
              "and read by itself, where one connection takes many RPCs at a time, and two CPUs do all that beside "
              "the server. What they are for is the next question."),),
    (Curves("rpc.svg", "RPCs per second through the pool, against others", "RPCs in flight", "ratio", tuple(
        Curve(f"{against}, {n.split()[0]} conn.", "rpc", f"{series}, {n}: RPC/s, ratio", colour, dashed)
        for series, against, colour in ((_CALLS, "to callback API", 0),
                                        *((f"the last against {way}", legend, number)
                                          for way, _, legend, number in _BESIDE))
        for n, dashed in zip(_CONNECTIONS, (False, True))), reach=0.97, reach_name="reach: 0.97"),))

STREAMS = Section(
    "streams", "What do more connections buy?",
    "A server that allows so many RPCs at once per connection and takes 20 ms for each, and twice as many callers. The "
    "ratio is to as many times what one channel does in the same round.",
    (Question("stream-limited server, 2, 5, 10 channels", "channels × one channel", "≥ 0.9 until CPU-bound",
              tuple(Check(f"{limit} RPCs each", over("streams", f"{limit} streams: of channels x one", _CHANNELS),
                          at_least(0.9), cpu_used=_used(limit)) for limit in _STREAMS) +
              tuple(Check(f"of all CPUs, {limit} RPCs each", _used(limit), None, "") for limit in _STREAMS),
              "",
              "CPU-bound is where client and server use nine tenths of all CPUs; close to that these are short, not "
              "connections. More of them then do harm: each RPC takes more CPU time, as in the table of RPCs above."),),
    (Curves("streams.svg", "RPCs per second through N channels, of N times what one does", "channels", "ratio", tuple(
        Curve(f"{limit} RPCs each", "streams", f"{limit} streams: of channels x one", colour)
        for limit, colour in ((10, 0), (100, 1))), reach=0.9, reach_name="reach: 0.9"),))
