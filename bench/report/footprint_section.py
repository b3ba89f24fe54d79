# SPDX-License-Identifier: BSL-1.0
"""bench/footprint: size and compile time."""
from bars import Bar, Bars
from question import Question, Section
from values import Check, Value, at, at_most, only, quotient, total

_POOL_WITH_ALL, _POOL_WITH_SOME = "the same and pool.hpp", "the same six and pool.hpp"
_ALONE = "pool.hpp and the six, without gRPC's own"


def _size(library: str, what: str = "file") -> Value:
    return at("footprint", f"size, {library}: {what}, KiB", 1)


def _ratio(name: str) -> Value:
    return at("footprint", f"compile, {name}: ratio", 1)


def _seconds(name: str) -> Value:
    return at("footprint", f"compile, {name}: CPU s", 1)


_GRPCPP, _GRPC = _size("libgrpc++"), _size("libgrpc")

QUESTIONS = (
    Question("library size", "gRPC's own libraries", "none",
             (Check("conn_grpc", only(_size("conn_grpc")), None, " KiB", 0),
              Check("libgrpc++, libgrpc", (("libgrpc++", _GRPCPP), ("libgrpc", _GRPC)), None, " KiB", 0),
              Check("conn_grpc, ratio to both", only(quotient(_size("conn_grpc"), total(_GRPCPP, _GRPC)))))),
    Question("time to compile a user's file with `pool.hpp`", "the same file including only `grpcpp.h` and Asio",
             "≤ 1.15×",
             (Check("all of Asio (`boost/asio.hpp`)", only(_ratio(_POOL_WITH_ALL)), at_most(1.15)),
              Check("six headers of Asio", only(_ratio(_POOL_WITH_SOME)), at_most(1.15)),
              Check("`pool.hpp` and the six, without `grpcpp.h`", only(_ratio(_ALONE)), at_most(1.15))), "",
             "The file is the same with and without `pool.hpp`. In the last line `pool.hpp` includes what it needs of "
             "gRPC."),
)

PLOTS = (
    Bars("footprint-compile.svg", "Compiling a file that gets a channel in a coroutine", "CPU seconds of g++ -O2",
         (("with a pool", (Bar("gRPC and boost/asio.hpp", _seconds("gRPC and all of Asio")),
                           Bar("the same and pool.hpp", _seconds(_POOL_WITH_ALL), ours=True),
                           Bar("gRPC and six headers of Asio", _seconds("gRPC and six headers of Asio")),
                           Bar("the same and pool.hpp ", _seconds(_POOL_WITH_SOME), ours=True),
                           Bar("the six and pool.hpp alone", _seconds(_ALONE), ours=True))),
          ("only one #include", (Bar("grpcpp/grpcpp.h", _seconds("only #include <grpcpp/grpcpp.h>")),
                                  Bar("boost/asio.hpp", _seconds("only #include <boost/asio.hpp>")),
                                  Bar("conn_grpc/pool.hpp", _seconds("only #include <conn_grpc/pool.hpp>"),
                                      ours=True)))),
         digits=2),
)

SECTION = Section("footprint", "What does the library add to a program, and to compiling one?",
                  "The six headers are `awaitable`, `co_spawn`, `detached`, `io_context`, `steady_timer` and "
                  "`use_awaitable`. The file spawns a coroutine that waits for a timer and gets a channel. Without "
                  "`pool.hpp` it gets the channel from a pool that is only declared. The figure is the CPU time of the "
                  "compiler, the median of the rounds.",
                  QUESTIONS, PLOTS)
