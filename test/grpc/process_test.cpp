// SPDX-License-Identifier: BSL-1.0
// What concerns a whole process: forks, descriptors, signals. Each case runs in a process
// of its own. These are forked from this process, which never uses gRPC.
#include <grpc/grpc.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/tls.hpp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "support/background.hpp"
#include "support/catch.hpp"
#include "support/certificates.hpp"
#include "support/late_server.hpp"
#include "support/sanitizers.hpp"

using namespace conn_grpc::test;

namespace {

/// The text that `body` returns in a process of its own, or how that process ended.
std::string in_child(const std::function<std::string()>& body, void (*exit)(int) = ::_exit) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return "no pipe";
  (void)std::fflush(nullptr);  // so that the child does not write the buffered output again
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    std::string said;
    try {
      said = body();
    } catch (const std::exception& e) {
      said = std::string("threw ") + e.what();
    }
    (void)!::write(ends[1], said.data(), said.size());
    exit(0);
  }
  ::close(ends[1]);
  std::string said;
  std::array<char, 256> part{};
  for (ssize_t size = 0; (size = ::read(ends[0], part.data(), part.size())) > 0;)
    said.append(part.data(), static_cast<std::size_t>(size));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? said : "ended with status " + std::to_string(WEXITSTATUS(status));
}

conn_grpc::pool_options options_for(const std::string& address) {
  return {.channel = {.address = address, .backoff = {.min = 10ms, .max = 10ms}, .connect_timeout = 1h}};
}

/// Runs the pool until it can hand out a channel, or its first attempt has failed.
std::string outcome(asio::io_context& io, conn_grpc::pool& pool) {
  pool.async_run([](conn_grpc::error_code) {});
  std::string said = "connected";
  run(io, [&]() -> asio::awaitable<void> {
    asio::steady_timer timer(io);
    while (!pool.try_get_channel() && pool.status().channels.at(0).last_error.empty()) {
      timer.expires_after(1ms);
      co_await timer.async_wait(asio::deferred);
    }
    try {
      const auto channel = co_await pool.get_channel();
    } catch (const boost::system::system_error& e) {
      said = e.what();
    }
  }());
  return said;
}

std::string outcome(const std::string& address) {
  asio::io_context io;
  conn_grpc::pool pool(io, options_for(address));
  return outcome(io, pool);
}

/// A field in the status of a thread of this process.
std::optional<std::string> status_of_thread(const std::string& name, const std::string& field) {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(task.path() / "status");
    bool found = false;
    for (std::string key, value; status >> key && std::getline(status >> std::ws, value);) {
      found = found || (key == "Name:" && value == name);
      if (found && key == field + ":") return value;
    }
  }
  return std::nullopt;
}

/// Takes all free descriptors, each time `take()` is called.
class greedy {
 public:
  greedy() {
    const rlimit few{.rlim_cur = 64, .rlim_max = 64};
    ::setrlimit(RLIMIT_NOFILE, &few);
    take();
  }
  ~greedy() {
    for (const int fd : taken_) ::close(fd);
  }
  greedy(const greedy&) = delete;
  greedy& operator=(const greedy&) = delete;

  void take() {
    for (int fd = 0; (fd = ::eventfd(0, EFD_CLOEXEC)) >= 0;) taken_.push_back(fd);
  }

 private:
  std::vector<int> taken_;
};

[[maybe_unused]] asio::awaitable<void> until_error(conn_grpc::pool& pool, std::string text, greedy& all) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  while (pool.status().channels.at(0).last_error.find(text) == std::string::npos) {
    all.take();
    timer.expires_after(1ms);
    co_await timer.async_wait(asio::deferred);
  }
}

}  // namespace

TEST_CASE("a pool that was constructed before a fork connects in the child", "[process]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  const std::string address = "127.0.0.1:" + std::to_string(server.port());
  CHECK(in_child([&] {
          asio::io_context io;
          conn_grpc::pool pool(io, options_for(address));
          if (::grpc_is_initialized() != 0) return std::string("gRPC is initialised");
          return in_child([&] {
            io.notify_fork(asio::io_context::fork_child);
            return outcome(io, pool);
          });
        }) == "connected");
}

TEST_CASE("a pool connects in the child when the parent's pool was destroyed before the fork", "[process]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  const std::string address = "127.0.0.1:" + std::to_string(server.port());
  const auto twice = [&] { return outcome(address) + ", " + in_child([&] { return outcome(address); }); };
  CHECK(in_child([&] { return twice() + ", " + in_child(twice); }) == "connected, connected, connected, connected");
}

TEST_CASE("a pool connects in the child when the parent's pools were destroyed during attempts", "[process]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  const std::string address = "127.0.0.1:" + std::to_string(server.port());
  const reserved_port nobody_listens;
  CHECK(in_child([&] {
          auto options = options_for(nobody_listens.address());
          options.pool_size = 20;
          for (int i = 0; i < 10; ++i) {
            asio::io_context io;
            conn_grpc::pool pool(io, options);
            (void)outcome(io, pool);
          }
          wait_until([] { return ::grpc_is_initialized() == 0; });  // up to 2 s with 1.51
          return in_child([&] { return outcome(address); });
        }) == "connected");
}

TEST_CASE("a pool fails at once in a child that was forked while a pool was running", "[process]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  const std::string address = "127.0.0.1:" + std::to_string(server.port());
  const auto said = in_child([&] {
    asio::io_context io;
    conn_grpc::pool running(io, options_for(address));
    asio::io_context io_of_idle;
    conn_grpc::pool idle(io_of_idle, options_for(address));
    std::string all = outcome(io, running);
    all += "; " + in_child([&] { return outcome(address); });
    all += "; " + in_child([&] {
             io_of_idle.notify_fork(asio::io_context::fork_child);
             return outcome(io_of_idle, idle);
           });
    all += std::string("; ") + (running.try_get_channel() ? "still connected" : "lost");
    return all + ", " + outcome(io_of_idle, idle);
  });
  INFO(said);
  CHECK(said.starts_with("connected; "));
  CHECK(said.ends_with("; still connected, connected"));
  const std::string words = "the process was forked after conn_grpc was started";
  const auto first = said.find(words);
  REQUIRE(first != std::string::npos);
  CHECK(said.find(words, first + 1) != std::string::npos);
}

TEST_CASE("a pool fails at once in a child that was forked while the program had credentials", "[process]") {
  const auto said = in_child([&] {
    const auto credentials = grpc::InsecureChannelCredentials();
    return in_child([&] {
      asio::io_context io;
      auto options = options_for("127.0.0.1:1");
      options.channel.credentials = credentials;
      conn_grpc::pool pool(io, options);
      return outcome(io, pool);
    });
  });
  CHECK_THAT(said, has_text("the process was forked after gRPC was started"));
}

TEST_CASE("the completion thread blocks all signals except those of its own faults", "[process]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  CHECK(in_child([&] {
          asio::io_context io;
          conn_grpc::pool pool(io, options_for("127.0.0.1:" + std::to_string(server.port())));
          (void)outcome(io, pool);
          const auto blocked = status_of_thread("conn_grpc", "SigBlk");
          if (!blocked) return std::string("there is no such thread");
          const auto mask = std::stoull(*blocked, nullptr, 16);
          std::string received;
          for (int signal = 1; signal < 32; ++signal)
            if (signal != SIGKILL && signal != SIGSTOP && (mask >> (signal - 1) & 1) == 0)
              received += std::string(" ") + ::sigabbrev_np(signal);
          return received;
        }) == " ILL TRAP BUS FPE SEGV SYS");
}

TEST_CASE("a process exits while servers' certificates are refused", "[process]") {
  certificates made;
  made.add_ca("other");
  made.issue("server");
  const server_process server(greeter_server(), "127.0.0.1:0", {"--tls", made.chain("server"), made.key("server")});
  const bool has_roots = GENERATE(true, false);  // without roots, OpenSSL's default roots are used
  const bool pool_is_destroyed = GENERATE(true, false);
  const auto body = [&] {
    auto options = options_for("127.0.0.1:" + std::to_string(server.port()));
    options.pool_size = 20;
    options.channel.credentials = conn_grpc::tls_credentials(
        has_roots ? conn_grpc::tls_files{.root_certs = made.chain("other")} : conn_grpc::tls_files{});
    static std::optional<asio::io_context> io;
    static std::optional<conn_grpc::pool> pool;
    io.emplace();
    pool.emplace(*io, options);
    const auto said = outcome(*io, *pool);
    if (pool_is_destroyed) pool.reset();
    return said;
  };
  for (int i = 0; i < 10; ++i) {
    CAPTURE(has_roots, pool_is_destroyed, i);
    CHECK_THAT(in_child(body, std::exit), has_text("no channel is connected"));
  }
}

// UBSan needs a descriptor, for a pipe through which it checks an object before it
// reports it.
#ifndef CONN_GRPC_TEST_ADDRESS_SANITIZER
TEST_CASE("without a free descriptor the first attempt fails, and a later one connects", "[process]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  CHECK(in_child([&] {
          asio::io_context io;
          conn_grpc::pool pool(io, options_for("127.0.0.1:" + std::to_string(server.port())));
          pool.async_run([](conn_grpc::error_code) {});
          run(io, [&]() -> asio::awaitable<void> {
            {
              greedy all;
              co_await until_error(pool, "Too many open files", all);
            }
            co_await pool.connected(1);
          }());
          return std::string("connected");
        }) == "connected");
}

TEST_CASE("a pool connects again after a loss while no descriptor was free", "[process]") {
  CHECK(in_child([&] {
          late_server server;
          server.start();
          asio::io_context io;
          auto options = server.options();
          options.connect_timeout = 1h;
          conn_grpc::pool pool(io, {.pool_size = 3, .channel = options});
          pool.async_run([](conn_grpc::error_code) {});
          run(io, [&]() -> asio::awaitable<void> {
            co_await pool.connected(3);
            {
              greedy all;
              server.kill();
              co_await until_error(pool, "Too many open files", all);
            }
            server.start();
            co_await pool.connected(3);
          }());
          return std::string("connected");
        }) == "connected");
}
#endif
