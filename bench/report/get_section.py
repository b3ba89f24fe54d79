# SPDX-License-Identifier: BSL-1.0
"""bench/get.cpp: what a get costs."""
import operator

from bars import Bar, Bars, Line
from curves import Curve, Curves
from question import Question, Section
from values import Check, Reach, Value, at, at_least, at_most, combined, over

SIZES = (1, 5, 1000)
LIMIT = "fetch_add + copy of a shared_ptr"


def _check(what: str, series: str, reach: Reach | None, sizes: tuple[int, ...] = SIZES) -> Check:
    return Check(what, over("get", series, sizes), reach)


def _throughput(name: str) -> Check:
    return _check(f"throughput of `{name}`", f"{name}: what 2 threads get per second, against 1", at_least(1))


def _ratio(series: str) -> Value:
    return at("get", f"{series}: ratio", 5)


def _ns(series: str) -> Value:
    return at("get", f"{series}: ns", 5)


def _times(factor: float, value: Value) -> Value:
    return combined(operator.mul, lambda _: factor, value)


_GET = "co_await pool.get_channel()"
_POOLS = "pools of 1, 5, 1,000"
_BARE = "no telemetry compiled in"

QUESTIONS = (
    Question("`try_get_channel()`", LIMIT, "≤ 1.3× on 1 thread",
             (_check("", "1 thread, try_get_channel(): ratio", at_most(1.3)),), _POOLS,
             "What it does beyond the limit: a call into the library, two marks of RCU, and a `result`. A mutex that "
             "nobody else wants costs less, but with it a get may wait for another thread."),
    Question("`co_await get_channel()`", "the same; a hop to a strand and back", "≤ 3.5×; ≤ 1/5 of the hop",
             (_check("of the limit", f"{_GET} against the limit on 1 thread", at_most(3.5)),
              _check("of a hop", f"{_GET} against a hop to a strand and back", at_most(0.2)),
              _check("awaiting the limit, of the limit", "co_await of the limit against the limit on 1 thread", None)),
             _POOLS,
             "Most of it is the coroutine's: the last line awaits the limit in a coroutine that does nothing else, "
             "and leaves next to nothing of the reach."),
    Question("the same, 2 threads on one pool", "the same limit on 2 threads; 1 thread",
             "≤ 1.3×, ≤ 2.5×; more throughput than 1 thread",
             (_check("`try_get_channel()`", "2 threads, try_get_channel(): ratio", at_most(1.3)),
              _check("`co_await get_channel()`", f"{_GET} on 2 threads against the limit on 2 threads", at_most(2.5)),
              _throughput("try_get_channel()"), _throughput(_GET),
              _check("throughput of the limit", "the limit: what 2 threads get per second, against 1", None),
              _check("its `fetch_add` alone, of the gets of 1 thread",
                     "fetch_add alone: what 2 threads do per second, against gets of 1", None)),
             _POOLS,
             "Turns are exact, so all threads write to one ticket; and those that are handed the same `shared_ptr` to "
             "one reference count. Their CPUs pass these cache lines to and fro. The last line is the ticket without "
             "a pool: what it leaves is all that exact turns could reach, however they are handed out."),
    Question("pool of 5, 1,000 channels", "pool of 1", "flat, ≤ 1.1×",
             (_check("`try_get_channel()`", "1 thread, try_get_channel(): ratio to pool of 1", at_most(1.1), SIZES[1:]),
              _check("`co_await get_channel()`", f"coroutine, {_GET}: ratio to pool of 1", at_most(1.1), SIZES[1:]),
              _check("the limit", "1 thread, the limit: ratio to pool of 1", None, SIZES[1:])),
             "pools of 5, 1,000",
             "Picking takes the same time in each. But each get writes to the next channel's reference count, and "
             "1,000 of those do not fit into the CPU's first cache: the limit, with the same channels, grows too."),
    Question("telemetry attached to nothing", _BARE, "≤ 1.02×",
             (_check("", "telemetry, attached to nothing: ratio", at_most(1.02)),), _POOLS,
             "One load and one test: a third of a nanosecond, by which the layout of the code alone moves a get."),
    Question("telemetry, one handler on gets", _BARE, "stated",
             (_check("", "telemetry, one handler: ratio", None),), _POOLS,
             "The event has a duration, for which the clock is read twice."),
    Question("named and typed get", "plain get", "≤ 2×",
             (_check("by name", "again, found by name: ratio", at_most(2)),
              _check("two by name, in turn", "again, two found by name, in turn: ratio", at_most(2)),
              _check("by type", "again, found by type: ratio", at_most(2))), _POOLS,
             "Two pools of 1,000 in turn are 2,000 reference counts, in caches that a plain get has for 1,000."),
)

PLOTS = (
    Bars("get-threads.svg", "A plain get, pool of 5", "time per get, ratio to the limit",
         tuple((threads, (Bar("the limit", _ratio(f"{threads}, the limit")),
                          Bar("try_get_channel()", _ratio(f"{threads}, try_get_channel()"), ours=True),
                          Bar("mutex per get", _ratio(f"{threads}, mutex per get")),
                          Bar("atomic<shared_ptr<snapshot>>", _ratio(f"{threads}, atomic<shared_ptr<snapshot>>"))))
               for threads in ("1 thread", "2 threads")),
         (Line("reach: 1.3", lambda _: 1.3),)),
    Bars("get-coroutine.svg", "A get in a coroutine, pool of 5", "ns per get",
         (("1 thread", (Bar("co_await of the limit", _ns("coroutine, co_await of the limit")),
                        Bar("co_await pool.get_channel()", _ns("coroutine, co_await pool.get_channel()"), ours=True),
                        Bar("found by name", _ns("again, found by name"), ours=True),
                        Bar("two found by name, in turn", _ns("again, two found by name, in turn"), ours=True),
                        Bar("found by type", _ns("again, found by type"), ours=True),
                        Bar("hop to a strand and back", _ns("coroutine, hop to a strand and back")))),),
         (Line("3.5 × the limit", _times(3.5, _ns("1 thread, the limit"))),
          Line("1/5 of a hop", _times(0.2, _ns("coroutine, hop to a strand and back")))), digits=0),
    Curves("get-sizes.svg", "A get from pools of 1, 5 and 1,000 channels", "channels", "ns per get", (
        Curve("the limit", "get", "1 thread, the limit: ns", 5),
        Curve("try_get_channel()", "get", "1 thread, try_get_channel(): ns", 0),
        Curve("co_await of the limit", "get", "coroutine, co_await of the limit: ns", 4),
        Curve("co_await get_channel()", "get", "coroutine, co_await pool.get_channel(): ns", 1),
    )),
)

SECTION = Section("get", "What does a get cost?",
                  "Nanoseconds per get; the limit is one `fetch_add`, one modulo and one copy of a `shared_ptr` out of "
                  "a vector that never changes. A mutex per get, a hop to a strand and an "
                  "`atomic<shared_ptr<snapshot>>` are how other pools do it, without the work that keeps channels "
                  "connected. A round in which somebody else took the CPU is repeated.",
                  QUESTIONS, PLOTS)
