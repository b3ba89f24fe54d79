# SPDX-License-Identifier: BSL-1.0
"""bench/waiting.cpp, rpc.cpp, messages.cpp and streams.cpp: from the connection to the answer."""
from curves import Curve, Curves
from question import Question, Section
from row import Comparison, Row
from values import Check, Value, at, at_least, at_most, only, over

_THREADS = ("same thread", "other thread")
_LOADS = (1, 64, 1000)
_CALLS = "get_channel(), stub, unary"
_CALL = "client.call"
_BESIDE = (("by way of an io_context", "posted", "posted callbacks", 1),
           ("by way of a coroutine", "awaited", "awaited callbacks", 2))
_CONNECTIONS = ("1 connection", "5 connections")
_CHANNELS = (2, 5, 10)
_STREAMS = (10, 100)


def _used(limit: int) -> tuple[tuple[str, Value], ...]:
    return over("streams", f"{limit} streams: of all CPUs", _CHANNELS)


WAITING = Section(
    "waiting", "What does a waiting get cost?",
    "The time begins when the pool has seen the connection: the pool resets the channel's backoff first, and the "
    "benchmark's backoff takes the time. It ends when the coroutine that waits for the connection runs, on the thread "
    "that runs the pool or on another thread. Before that time, gRPC's thread wakes the pool, which takes one more "
    "post. Asio's timer and Asio's channel are measured as other ways to wait.",
    (Question("waiting get: from the connection until the coroutine runs", "one post to the executor", "≤ 2×",
              tuple(Check(f"1 waits, {where}", only(at("waiting", f"{where}, pool.get_channel(timeout): ratio", 1)),
                          at_most(2)) for where in _THREADS) +
              tuple(Check(f"100, 10,000 wait, {where}, each",
                          over("waiting", f"{where}, pool.get_channel(timeout): ratio", (100, 10_000)))
                    for where in _THREADS) +
              tuple(Check(f"the first of 100, 10,000, {where}",
                          over("waiting", f"{where}, pool.get_channel(timeout): us until the first runs",
                               (100, 10_000)), None, " µs", 0) for where in _THREADS), "",
              "A connection is more than a post. The pool publishes a new snapshot, changes the channel's status, and "
              "begins the channel's next wait. On the same thread all this comes before the coroutine. It takes some "
              "microseconds, once for each connection. The pool takes the answers of up to 256 waiters under one lock "
              "before it completes the first of them. So no other caller can come between them, and the first of many "
              "runs later than after a post. Each costs a few posts."),),
    tuple(Curves(f"waiting-{where.split()[0]}-thread.svg",
                 f"Time from the connection until the last of N coroutines runs, {where}",
                 "coroutines that wait", "ratio to as many posts",
                 tuple(Curve(name, "waiting", f"{where}, {series}: ratio", colour)
                       for name, series, colour in (("get_channel(timeout)", "pool.get_channel(timeout)", 0),
                                                    ("timer, cancelled", "timer, cancelled", 1),
                                                    ("concurrent_channel", "Asio's concurrent_channel", 2))),
                 target=2, target_name="target for 1: 2")
          for where in _THREADS))

_RPC_ROW = Row(
    "An RPC", "`get_channel()` and `unary`, N in flight, RPCs per second", "gRPC's callback API", "≥ 0.97",
    tuple(Comparison(f"N = {{}}, {n}", "rpc", _LOADS, f"{_CALLS}, {n}: RPC/s", f"callback API, {n}: RPC/s",
                     f"{_CALLS}, {n}: RPC/s, ratio", "", at_least(0.97), 0) for n in _CONNECTIONS),
    "The target is missed because a coroutine resumes on its own executor, so each RPC makes a hop to another thread. "
    "Callbacks of bare gRPC make none. The rest is a get, a stub, and what makes `unary` cancellable. The "
    "plot also compares with callers that make the hop: callbacks that are posted to an `io_context`, or awaited there "
    "by a coroutine. With gRPC 1.83 these callers made fewer RPCs than bare gRPC by nearly as much as the pool "
    "([appendix](benchmarks/appendix.md#with-grpc-1830)).",
    Curves("rpc.svg", "RPCs per second through the pool, compared with other callers", "RPCs in flight", "ratio", tuple(
        Curve(f"to {against}, {n.split()[0]} conn.", "rpc", f"{series}, {n}: RPC/s, ratio", colour, dashed)
        for series, against, colour in ((_CALLS, "callback API", 0),
                                        *((f"the last against {way}", legend, number)
                                          for way, _, legend, number in _BESIDE))
        for n, dashed in zip(_CONNECTIONS, (False, True))), target=0.97, target_name="target: 0.97"))

_CALL_ROW = Row(
    "A call", "`client.call`, N in flight, RPCs per second", "`get_channel()`, a stub and `unary`", "≥ 1.0",
    tuple(Comparison(f"N = {{}}, {n}", "rpc", _LOADS, f"{_CALL}, {n}: RPC/s", f"{_CALLS}, {n}: RPC/s",
                     f"{_CALL} against {_CALLS}, {n}: RPC/s, ratio", "", at_least(1), 0) for n in _CONNECTIONS),
    "A call costs a lease, the retries, and a deadline if it has one. It saves the stub, which is made once per "
    "connection.")

RPC = Section(
    "rpc", "What does an RPC through the pool cost?",
    "Coroutines on an `io_context` with one thread get a channel, make a stub and await `unary`. They are compared "
    "with three other callers. `callback API`: each callback begins the next RPC on gRPC's own thread. `by way of an "
    "io_context`: each callback is posted to an `io_context`, as in a program that handles its RPCs there. `by way of "
    "a coroutine`: a coroutine there awaits a callback, with the least code that can do so. The last caller in the "
    "output is the pool. `client.call` is one line for the same, with a lease.",
    (Question("RPC through pool + `unary`, compared with callers that make the same hop",
              "callbacks posted to an `io_context`; callbacks awaited in a coroutine there", "none",
              tuple(Check(f"{how}, {n}", over("rpc", f"the last against {way}, {n}: RPC/s, ratio", _LOADS))
                    for way, how, _, _ in _BESIDE for n in _CONNECTIONS),
              "1, 64, 1,000 in flight",
              "A coroutine resumes on its executor, which is a hop to another thread for each RPC. Posted callbacks "
              "make that hop, too; awaited callbacks have the hop and the coroutine. What is left is a get and a stub "
              "for each RPC, and what makes a completion of `unary` cancellable. More connections make each RPC more "
              "expensive, for every caller: each connection is a socket that is written, polled and read by itself, "
              "and one connection carries many RPCs at a time. Two CPUs do all that, and run the server. The next "
              "section shows what more connections are for."),
     Question("`client.call`, compared with the least coroutine that awaits a callback",
              "callbacks awaited in a coroutine", "≥ 0.97",
              tuple(Check(n, over("rpc", f"{_CALL} against by way of a coroutine, {n}: RPC/s, ratio", _LOADS),
                          at_least(0.97)) for n in _CONNECTIONS),
              "1, 64, 1,000 in flight")),
    (), (_RPC_ROW, _CALL_ROW))

_MESSAGES = ("read", "written", "written, and answered")

MESSAGES = Section(
    "messages", "What does a message of a stream cost?",
    "One stream on one connection, messages of 16 bytes. A coroutine on an `io_context` with one thread reads them, "
    "writes them, or writes one and reads the answer in turn. gRPC's own reactors do the same in their callbacks, on "
    "gRPC's thread.",
    (),
    (), (Row(
        "A message of a stream", "messages per second", "gRPC's own reactors", "≥ 0.9",
        tuple(Comparison(case, "messages", (1,), f"{case}: streams, per second", f"{case}: reactors, per second",
                         f"{case}: of reactors", "", at_least(0.9), 0) for case in _MESSAGES),
        "A stream has a buffer between gRPC's thread and the coroutine's, so that a thread is woken for many messages "
        "and not for each. A coroutine that waits for an answer to each message gains nothing from the buffer: each "
        "message makes the hop to another thread, as an RPC does."),))

STREAMS = Section(
    "streams", "What do more connections give?",
    "The server allows 10 or 100 RPCs at once per connection and takes 20 ms for each. There are twice as many callers "
    "as the server allows. The ratio compares N channels with N times what one channel does in the same round.",
    (Question("stream-limited server, 2, 5, 10 channels", "channels × one channel", "≥ 0.9 until CPU-bound",
              tuple(Check(f"{limit} RPCs each", over("streams", f"{limit} streams: of channels x one", _CHANNELS),
                          at_least(0.9), cpu_used=_used(limit)) for limit in _STREAMS) +
              tuple(Check(f"part of all CPUs, {limit} RPCs each", _used(limit), None, "") for limit in _STREAMS),
              "",
              "CPU-bound means that client and server use nine tenths of all CPUs. Near that, CPUs are short, and "
              "connections are not. More connections then do harm: each RPC takes more CPU time, as the output "
              "of `bench/rpc` shows."),),
    (Curves("streams.svg", "RPCs per second through N channels, compared with N times one", "channels", "ratio", tuple(
        Curve(f"{limit} RPCs each", "streams", f"{limit} streams: of channels x one", colour)
        for limit, colour in ((10, 0), (100, 1))), target=0.9, target_name="target: 0.9"),))
