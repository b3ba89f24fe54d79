# SPDX-License-Identifier: BSL-1.0
"""bench/get.cpp: what a get costs."""
import operator

from bars import Bar, Bars, Line
from curves import Curve, Curves
from question import Question, Section
from row import Comparison, Row
from values import Check, Target, Value, at, at_least, at_most, combined, over

SIZES = (1, 5, 1000)


def _check(what: str, series: str, target: Target | None, sizes: tuple[int, ...] = SIZES) -> Check:
    return Check(what, over("get", series, sizes), target)


def _throughput(name: str) -> Check:
    return _check(f"throughput of `{name}`", f"{name}: what 2 threads get per second, against 1", at_least(1))


def _ratio(series: str) -> Value:
    return at("get", f"{series}: ratio", 5)


def _ns(series: str) -> Value:
    return at("get", f"{series}: ns", 5)


def _times(factor: float, value: Value) -> Value:
    return combined(operator.mul, lambda _: factor, value)


def _comparison(case: str, ours: str, theirs: str, ratio: str, most: float) -> Comparison:
    return Comparison(case, "get", SIZES, f"{ours}: ns", f"{theirs}: ns", ratio, " ns", at_most(most))


_GET = "co_await pool.get_channel()"
_POOLS = "pools of 1, 5, 1,000"
_BARE = "no telemetry compiled in"
_LIMIT, _TRY_GET, _AWAITED = "1 thread, the limit", "1 thread, try_get_channel()", f"coroutine, {_GET}"
_HOP = "coroutine, hop to a strand and back"

ROWS = (
    Row("A get", "`try_get_channel()`", "the limit", "≤ 1.3",
        (_comparison("pool of {}", _TRY_GET, _LIMIT, f"{_TRY_GET}: ratio", 1.3),),
        "A program can get a channel for each RPC: a get takes nanoseconds, an RPC takes tens of microseconds of CPU "
        "time. A get does the work of the limit, plus a call into the library, two marks of RCU, and a `result`. It "
        "takes no lock.",
        Bars("get-threads.svg", "A get, pool of 5", "time per get, ratio to the limit",
             tuple((threads, (Bar("the limit", _ratio(f"{threads}, the limit")),
                              Bar("try_get_channel()", _ratio(f"{threads}, try_get_channel()"), ours=True),
                              Bar("mutex per get", _ratio(f"{threads}, mutex per get")),
                              Bar("atomic<shared_ptr<snapshot>>", _ratio(f"{threads}, atomic<shared_ptr<snapshot>>"))))
                   for threads in ("1 thread", "2 threads")),
             (Line("target: 1.3", lambda _: 1.3),))),
    Row("An awaited get", "`co_await get_channel()`", "the limit, and with a hop to a strand and back",
        "limit: ≤ 3.5<br>hop: ≤ 0.2",
        (_comparison("limit, pool of {}", _AWAITED, _LIMIT, f"{_GET} against the limit on 1 thread", 3.5),
         _comparison("hop, pool of {}", _AWAITED, _HOP, f"{_GET} against a hop to a strand and back", 0.2)),
        "A get that finds a channel does not suspend, so it saves the hop that a pool behind a strand needs for each "
        "get. Most of its time beyond the limit is the coroutine's: the [appendix](benchmarks/appendix.md#results) has "
        "a coroutine that only awaits the limit."),
)

QUESTIONS = (
    Question("`co_await` of the limit", "the limit", "none",
             (_check("", "co_await of the limit against the limit on 1 thread", None),), _POOLS,
             "The coroutine does nothing else. So this much of an awaited get is the coroutine's."),
    Question("gets on 2 threads of one pool", "the limit on 2 threads; 1 thread",
             "≤ 1.3×, ≤ 2.5×; throughput ≥ 1×",
             (_check("`try_get_channel()`", "2 threads, try_get_channel(): ratio", at_most(1.3)),
              _check("`co_await get_channel()`", f"{_GET} on 2 threads against the limit on 2 threads", at_most(2.5)),
              _throughput("try_get_channel()"), _throughput(_GET),
              _check("throughput of the limit", "the limit: what 2 threads get per second, against 1", None),
              _check("throughput of its `fetch_add` alone, compared with gets on 1 thread",
                     "fetch_add alone: what 2 threads do per second, against gets of 1", None)),
             _POOLS,
             "Turns are exact, so all threads write to one ticket. Threads that get the same channel also write to one "
             "reference count. Their CPUs must exchange these cache lines. The last line is the ticket without a pool: "
             "no pool with exact turns can do more."),
    Question("pool of 5, 1,000 channels", "pool of 1", "≤ 1.1×",
             (_check("`try_get_channel()`", f"{_TRY_GET}: ratio to pool of 1", at_most(1.1), SIZES[1:]),
              _check("`co_await get_channel()`", f"{_AWAITED}: ratio to pool of 1", at_most(1.1), SIZES[1:]),
              _check("the limit", f"{_LIMIT}: ratio to pool of 1", None, SIZES[1:])),
             "pools of 5, 1,000",
             "The pick takes the same time in each. But each get writes to the next channel's reference count, and "
             "1,000 of those do not fit into the CPU's first cache. The limit, with the same channels, grows too."),
    Question("telemetry attached to nothing", _BARE, "≤ 1.02×",
             (_check("", "telemetry, attached to nothing: ratio", at_most(1.02)),), _POOLS,
             "It is one load and one test: a third of a nanosecond. The layout of the code alone changes a get by as "
             "much."),
    Question("telemetry, one handler on gets", _BARE, "none",
             (_check("", "telemetry, one handler: ratio", None),), _POOLS,
             "The event has a duration, so the get reads the clock twice."),
    Question("named and typed get", "plain get", "≤ 2×",
             (_check("by name", "again, found by name: ratio", at_most(2)),
              _check("two by name, in turn", "again, two found by name, in turn: ratio", at_most(2)),
              _check("by type", "again, found by type: ratio", at_most(2))), _POOLS,
             "Two pools of 1,000 in turn have 2,000 reference counts in the caches, and a plain get has 1,000."),
)

PLOTS = (
    Bars("get-coroutine.svg", "A get in a coroutine, pool of 5", "ns per get",
         (("1 thread", (Bar("co_await of the limit", _ns("coroutine, co_await of the limit")),
                        Bar(_GET, _ns(_AWAITED), ours=True),
                        Bar("found by name", _ns("again, found by name"), ours=True),
                        Bar("two found by name, in turn", _ns("again, two found by name, in turn"), ours=True),
                        Bar("found by type", _ns("again, found by type"), ours=True),
                        Bar("hop to a strand and back", _ns(_HOP)))),),
         (Line("3.5 × the limit", _times(3.5, _ns(_LIMIT))), Line("1/5 of a hop", _times(0.2, _ns(_HOP)))), digits=0),
    Curves("get-sizes.svg", "A get from pools of 1, 5 and 1,000 channels", "channels", "ns per get", (
        Curve("the limit", "get", f"{_LIMIT}: ns", 5),
        Curve("try_get_channel()", "get", f"{_TRY_GET}: ns", 0),
        Curve("co_await of the limit", "get", "coroutine, co_await of the limit: ns", 4),
        Curve("co_await get_channel()", "get", f"{_AWAITED}: ns", 1),
    )),
)

SECTION = Section("get", "What does a get cost?",
                  "The figures are nanoseconds per get. The limit copies the `shared_ptr` out of a vector that never "
                  "changes. Other pools take a mutex, hop to a strand, or load an `atomic<shared_ptr<snapshot>>` for "
                  "each get. These ways are measured without the work that keeps channels connected. A mutex without "
                  "contention costs no more than `try_get_channel()`, but with it a get may wait for another thread. A "
                  "round in which another process took the CPU is repeated.",
                  QUESTIONS, PLOTS, ROWS)
