# SPDX-License-Identifier: BSL-1.0
"""bench/backends.cpp: servers that restart, crash, freeze, come and go."""
from question import Question, Section
from values import Check, Target, at, at_most, only

_BOTH = ("conn_grpc", "round_robin")
_WITH_HEALTH = ("conn_grpc, health_service", "round_robin, healthCheckConfig")
_BY_NAME = ("conn_grpc, resolve_interval 1 s", "round_robin, dns:///")
_SUSPECTED = ("conn_grpc, suspect()", "round_robin")
_FAILED, _NOTICED = "failed", "noticed ms"
_NONE = at_most(0)


def _lines(what: str, key: str, column: str, subjects: tuple[str, ...] = _BOTH, unit: str = "",
           target: Target | None = None) -> tuple[Check, ...]:
    """A line of each subject. The target is for those of conn_grpc."""
    return tuple(Check(f"{what}, `{subject}`", only(at("backends", f"{key}, {subject}: {column}", 1)),
                       None if subject.startswith("round_robin") else target, unit, 0) for subject in subjects)


QUESTIONS = (
    Question("failed RPCs in ten restarts of three backends, 200 RPCs in flight", "`round_robin`",
             "0 where the server announces it",
             _lines("NOT_SERVING 0.4 s before", "announced", _FAILED, _WITH_HEALTH, target=_NONE) +
             _lines("graceful", "shutdown", _FAILED) + _lines("SIGKILL", "kill", _FAILED), "",
             "A graceful shutdown costs the RPCs that cross the end of the connection, SIGKILL all that are in flight."),
    Question("failed RPCs while connections are replaced", "`round_robin`", "0",
             _lines("closed by the server", "age", _FAILED,
                    ("conn_grpc, 1 s", "round_robin, 1 s", "conn_grpc, 2 s", "round_robin, 2 s"), target=_NONE) +
             _lines("six at a time", "replaced", _FAILED, ("refresh() every 500 ms", "max_connection_age 500 ms"),
                    target=_NONE)),
    Question("failed RPCs while addresses change", "`round_robin`; with a new channel for another list", "0",
             _lines("a list", "addresses", _FAILED, target=_NONE) +
             _lines("a DNS name", "name", _FAILED, _BY_NAME, target=_NONE)),
    Question("time to notice", "`round_robin`", "none",
             _lines("graceful shutdown", "shutdown", _NOTICED, _BOTH[:1], " ms") +
             _lines("SIGKILL", "kill", _NOTICED, _BOTH[:1], " ms") +
             _lines("frozen", "frozen", _NOTICED, _SUSPECTED[:1], " ms") +
             _lines("the addresses of a name", "name", "first answer of a new one ms", _BY_NAME, " ms"), "",
             "`round_robin` reports none of the first three. It resolves a name again only after it has lost a "
             "connection, and here the backends that went shut down 4 s after the change."),
    Question("RPCs with a frozen backend", "`round_robin`", "none",
             _lines("failed", "frozen", _FAILED, _SUSPECTED) +
             _lines("last failure", "frozen", "last failure ms", _SUSPECTED, " ms")),
)

SECTION = Section("backends", "What do restarts and changes of several backends cost?",
                  "A pool with two channels to each address, and one gRPC channel with `round_robin` over the same "
                  "addresses, are called at the same time by the same code. The backends are processes of their own. "
                  "No failed RPC is repeated. [several-backends.md](../several-backends.md#measured) has the same "
                  "results with explanations.",
                  QUESTIONS, ())
