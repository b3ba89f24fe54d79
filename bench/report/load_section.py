# SPDX-License-Identifier: BSL-1.0
"""bench/load.cpp: a size that follows the load, a slow backend, and retries."""
from question import Question, Section
from row import Comparison, Row
from values import Check, at, at_least, at_most, only

_CALLERS = 200
_CASES = (("100 streams, 1,000 callers", "100 streams, 1000 callers", 5),
          ("100 streams, 1,000 callers", "100 streams, 1000 callers", 10),
          ("20 streams, 100 callers", "20 streams, 100 callers", 5))
_EACH = (("one channel each", "1 channel each"), ("two channels each", "2 channels each"))
_ENDS = ("graceful shutdown", "SIGKILL")


def _elastic(what: str, unit: str, digits: int = 0, limit: float | None = None) -> tuple[Check, ...]:
    return tuple(Check(f"{name}, at most {most}", only(at("load", f"elastic, {case}: {what}", most)),
                       None if limit is None else at_most(limit), unit, digits) for name, case, most in _CASES)


def _restarts(what: str, retries: tuple[str, ...], limit: float | None) -> tuple[Check, ...]:
    return tuple(Check(f"{end}, `retry::{retry}`", only(at("load", f"{end}, retry::{retry}: {what}", _CALLERS)),
                       None if limit is None else at_most(limit), "", 0) for end in _ENDS for retry in retries)


ROWS = (
    Row("A size that follows the load", "`client.call`, `pool_size` 1 and `max_size` N, calls per second from the third "
        "second on", "a pool of N channels", "≥ 0.95",
        tuple(Comparison(f"N = {{}}, {name}", "load", (most,), f"elastic, {case}: RPC/s", f"elastic, {case}: fixed, RPC/s",
                         f"elastic, {case}: RPC/s, ratio", "", at_least(0.95), 0) for name, case, most in _CASES),
        "Each RPC takes 20 ms in the server. On each connection the server allows 100 or 20 RPCs at once (*streams*), and "
        "`max_in_flight` is the same number. The [appendix](benchmarks/appendix.md#results) has the times in which the "
        "pool grows and becomes small again."),
    Row("A slow backend", "`least_loaded`, 200 callers, three backends that take 40 ms and one that takes 2 s",
        "four that take 40 ms; and with `round_robin`", "p99: ≤ 2<br>share: ≤ 1 %",
        tuple(Comparison(f"p99, {name}", "load", (_CALLERS,), f"least_loaded, {each}, one is slow: p99, ms",
                         f"least_loaded, {each}, all alike: p99, ms", f"least_loaded, {each}, one is slow: p99, ratio",
                         " ms", at_most(2)) for name, each in _EACH) +
        tuple(Comparison(f"share of the slow one, {name}", "load", (_CALLERS,),
                         f"least_loaded, {each}, one is slow: share, %", f"round_robin, {each}, one is slow: share, %",
                         None, " %", at_most(1), 2) for name, each in _EACH),
        "The channels to the slow backend have about as many leases as the others, and so get a fiftieth of the calls of "
        "another one. With `round_robin` nearly all callers wait for the slow backend."),
    Row("Restarts", "ten restarts of one backend of three after the other, 200 callers: calls that fail with "
        "`retry::idempotent`, calls executed twice with `retry::unsent`", "`retry::never`", "0",
        tuple(Comparison(f"{name}, {end}", "load", (_CALLERS,), f"{end}, retry::{retry}: {what}",
                         f"{end}, retry::never: {what}", None, "", at_most(0), 0)
              for name, retry, what in (("failed", "idempotent", "failed"),
                                        ("executed twice", "unsent", "executed twice")) for end in _ENDS),
        "A call that was in flight when its server ended may have been executed, so `retry::unsent` does not repeat it. "
        "`retry::idempotent` does."),
)

QUESTIONS = (
    Question("time in which a pool grows from one channel to N", "", "95 % of a fixed pool's throughput within 2 s",
             tuple(Check(f"95 % reached, {check.what}", check.figures, at_most(2_000), " ms", 0)
                   for check in _elastic("ms until 95 %", " ms")) +
             tuple(Check(f"all connected, {check.what}", check.figures, None, " ms", 0)
                   for check in _elastic("ms until all are connected", " ms")), "",
             "A channel is connected in some milliseconds. The rest of the time is that of the callers' first RPCs."),
    Question("time in which it has one channel again", "", "none",
             _elastic("s until it has one channel", " s", 1), "",
             "A size that was not needed for 10 s is given up. The first 10 s begin when the pool has grown, or at the "
             "last look, so it takes 10 to 20 s."),
    Question("calls executed twice in ten restarts of three backends, 200 callers", "`retry::never`", "0",
             _restarts("executed twice", ("never", "unsent"), 0), "",
             "`retry::idempotent` repeats what may have been executed, as it says."),
    Question("failed calls in the same restarts", "`retry::never`", "0 with `retry::idempotent`",
             _restarts("failed", ("idempotent",), 0) + _restarts("failed", ("unsent", "never"), None), "",
             "What fails with `retry::unsent` may have been executed: it was in flight when the server ended."),
)

SECTION = Section("load", "What do leases and calls do under load?",
                  "Callers await `client.call`, one after the other. The servers are processes of their own on the same "
                  "machine. In the restarts, three clients with different retries call the same backends at the same time, "
                  "and the backends record the number of each request that they execute.",
                  QUESTIONS, (), ROWS)
