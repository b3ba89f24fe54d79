// SPDX-License-Identifier: BSL-1.0
// Lack of memory on real sockets: memory_test GREETER_SERVER. In each run of a small
// service one allocation of the library fails: the first, the second, and so on. The
// service must get std::bad_alloc, continue, or be terminated, as lifecycle.hpp says. It
// must not hang, and not crash.
//
// Only allocations by code of libconn_grpc.so fail, because gRPC ends the process when it
// has no memory. Each run is a process of its own, forked before it uses gRPC.
#include <link.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/unary.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "support/greeting.hpp"
#include "support/server_process.hpp"

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr std::intptr_t never = -1;
constinit std::atomic<std::intptr_t> allocations_left{never};
constinit std::uintptr_t library_begin = 0;
constinit std::uintptr_t library_end = 0;

bool is_in_library(const void* code) {
  const auto address = reinterpret_cast<std::uintptr_t>(code);
  return library_begin <= address && address < library_end;
}

void find_library() {
  ::dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void*) {
        if (std::string_view(object->dlpi_name).find("libconn_grpc.so") == std::string_view::npos) return 0;
        for (int i = 0; i < object->dlpi_phnum; ++i) {
          const auto& segment = object->dlpi_phdr[i];
          if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
          library_begin = object->dlpi_addr + segment.p_vaddr;
          library_end = library_begin + segment.p_memsz;
        }
        return 1;
      },
      nullptr);
}

bool fails(const void* caller) {
  return allocations_left.load(std::memory_order_relaxed) != never && is_in_library(caller) &&
         allocations_left.fetch_sub(1) == 0;
}

void* allocate(std::size_t size, const void* caller) {
  void* const memory = fails(caller) ? nullptr : std::malloc(size);
  if (!memory) throw std::bad_alloc();
  return memory;
}

enum outcome : int { served = 0, served_without_failure = 10, refused = 11 };

/// Connects, makes an RPC, stops.
/// @param ended the result of the get, or of the RPC.
asio::awaitable<void> use(conn_grpc::pool& pool, std::string& ended) {
  try {
    const auto channel = co_await pool.get_channel(5s);
    ended = (co_await conn_grpc::test::peer_of(channel)).empty() ? "no answer" : "greeted";
  } catch (const std::exception& e) {  // a get may end in std::bad_alloc
    ended = e.what();
  }
  pool.stop();
}

int serve(const std::string& address, std::intptr_t failing) {
  ::alarm(20);
  std::string ended;
  asio::io_context io;
  conn_grpc::pool pool(io, {.name = "scarce", .channel = {.address = address, .backoff = {.min = 5ms, .max = 5ms}}});
  allocations_left = failing;  // not in the constructor: Asio's own strand does not survive that
  try {
    pool.async_run([](conn_grpc::error_code) {});
    asio::co_spawn(io, use(pool, ended), asio::detached);
    io.run();
  } catch (const std::bad_alloc&) {
    return refused;
  }
  const bool failed = allocations_left.exchange(never) < 0;
  if (ended.find("no channel is connected") != std::string::npos) return EXIT_FAILURE;  // after 5 s: it never recovers
  return failed ? served : ended == "greeted" ? served_without_failure : EXIT_FAILURE;
}

}  // namespace

// NOLINTBEGIN(misc-new-delete-overloads): these are all that the library uses
void* operator new(std::size_t size) { return allocate(size, __builtin_return_address(0)); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
// NOLINTEND(misc-new-delete-overloads)

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  find_library();
  if (library_begin == 0) return std::puts("libconn_grpc.so is not loaded"), EXIT_FAILURE;
  const conn_grpc::test::server_process server(argv[1], "127.0.0.1:0");
  const auto address = "127.0.0.1:" + std::to_string(server.port());
  int terminated = 0;
  int refusals = 0;
  for (std::intptr_t failing = 0;; ++failing) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(STDERR_FILENO);  // std::terminate would write its reason each time
      ::_exit(serve(address, failing));
    }
    int status = 0;
    if (::waitpid(child, &status, 0) != child) return EXIT_FAILURE;
    if (WIFEXITED(status) && WEXITSTATUS(status) == served_without_failure) {
      std::printf("%td allocations failed: %d ended the process, %d were thrown to the caller\n", failing, terminated,
                  refusals);
      return failing > 20 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    const bool ended = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    terminated += ended ? 1 : 0;
    refusals += WIFEXITED(status) && WEXITSTATUS(status) == refused ? 1 : 0;
    const bool allowed =
        ended || (WIFEXITED(status) && (WEXITSTATUS(status) == served || WEXITSTATUS(status) == refused));
    if (!allowed) {
      std::printf("allocation %td: wait status %#x\n", failing, static_cast<unsigned>(status));
      return EXIT_FAILURE;
    }
  }
}
