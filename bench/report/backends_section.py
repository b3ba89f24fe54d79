# SPDX-License-Identifier: BSL-1.0
"""bench/backends.cpp: servers that restart, crash, freeze, come and go."""
from question import Question, Section
from values import Check, Target, Value, at, at_most, only

_OURS, _THEIRS = "conn_grpc", "round_robin"
_FAILED, _NOTICED, _LAST = "failed", "noticed ms", "last failure ms"


def _value(key: str, subject: str, column: str) -> Value:
    return at("backends", f"{key}, {subject}: {column}", 1)


def _lines(what: str, key: str, column: str, unit: str = "", target: Target | None = None, ours: str = _OURS,
           theirs: str | None = _THEIRS) -> tuple[Check, ...]:
    """A line of the pool, with the target, and one of gRPC's channel."""
    lines = [Check(f"{what}, `{ours}`", only(_value(key, ours, column)), target, unit, 0)]
    if theirs is not None:
        lines.append(Check(f"{what}, `{theirs}`", only(_value(key, theirs, column)), None, unit, 0))
    return tuple(lines)


_NONE = at_most(0)
_RESOLVING = {"ours": "conn_grpc, resolve_interval 1 s", "theirs": "round_robin, dns:///"}

QUESTIONS = (
    Question("failed RPCs in ten restarts of three backends, 200 RPCs in flight", "`round_robin`",
             "0 where the server announces it",
             _lines("NOT_SERVING 0.4 s before", "announced", _FAILED, "", _NONE, "conn_grpc, health_service",
                    "round_robin, healthCheckConfig") +
             _lines("graceful", "shutdown", _FAILED) + _lines("SIGKILL", "kill", _FAILED), "",
             "A graceful shutdown costs the RPCs that cross the end of the connection, SIGKILL all that are in flight. "
             "[several-backends.md](../several-backends.md#rolling-restarts) has the statuses."),
    Question("failed RPCs while connections are replaced", "`round_robin`", "0",
             _lines("server closes at 1 s", "age", _FAILED, "", _NONE, "conn_grpc, 1 s", "round_robin, 1 s") +
             _lines("server closes at 2 s", "age", _FAILED, "", _NONE, "conn_grpc, 2 s", "round_robin, 2 s") +
             _lines("six at a time", "replaced", _FAILED, "", _NONE, "refresh() every 500 ms", None) +
             _lines("six at a time", "replaced", _FAILED, "", _NONE, "max_connection_age 500 ms", None)),
    Question("failed RPCs while addresses change", "`round_robin`; a new channel of it for another list", "0",
             _lines("a list", "addresses", _FAILED, "", _NONE) +
             _lines("a DNS name", "name", _FAILED, "", _NONE, **_RESOLVING)),
    Question("time to notice", "`round_robin`", "none",
             _lines("graceful shutdown", "shutdown", _NOTICED, " ms", theirs=None) +
             _lines("SIGKILL", "kill", _NOTICED, " ms", theirs=None) +
             _lines("frozen", "frozen", _NOTICED, " ms", None, "conn_grpc, suspect()", None) +
             _lines("the addresses of a name", "name", "first answer of a new one ms", " ms", **_RESOLVING), "",
             "`round_robin` reports none of the first three. It resolves a name again only when it has lost a "
             "connection, which is 4 s after the change here."),
    Question("RPCs with a frozen backend", "`round_robin`", "none",
             _lines("failed", "frozen", _FAILED, "", None, "conn_grpc, suspect()") +
             _lines("last failure", "frozen", _LAST, " ms", None, "conn_grpc, suspect()")),
)

SECTION = Section("backends", "What do restarts and changes of several backends cost?",
                  "A pool with two channels to each address, and one gRPC channel with `round_robin` over the same "
                  "addresses, are called at the same time by the same code. The backends are processes of their own. "
                  "No failed RPC is repeated. [several-backends.md](../several-backends.md) has the recipes, and what "
                  "the statuses mean.",
                  QUESTIONS, ())
