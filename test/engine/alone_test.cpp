// SPDX-License-Identifier: BSL-1.0
// The engine through gRPC's interface, without gRPC's channels. ThreadSanitizer runs this.
#include <grpc/slice.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/endpoint_fixture.hpp"
#include "engine/look_up.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using namespace conn_grpc::engine;
using namespace conn_grpc::test;

namespace {

class plain_allocators final : public grpc_event_engine::experimental::MemoryAllocatorFactory {
 public:
  MemoryAllocator CreateMemoryAllocator(absl::string_view) override {
    return MemoryAllocator(std::make_shared<plain_allocator>());
  }
};

/// Writes and reads blocks at the same time. The callbacks go on.
class conversation {
 public:
  conversation(endpoint_ptr with, std::size_t block, int blocks)
      : endpoint_(std::move(with)),
        block_(block),
        left_to_write_(blocks),
        left_to_read_(block * static_cast<std::size_t>(blocks)) {}

  void start() {
    read();
    write();
  }
  [[nodiscard]] bool is_over() { return over_.get_future().wait_for(30s) == std::future_status::ready; }
  [[nodiscard]] bool is_intact() const { return intact_; }

 private:
  void write() {
    while (left_to_write_-- > 0) {
      to_write_.Clear();
      auto* bytes = to_write_.c_slice_buffer();
      for (std::size_t at = 0; at < block_; at += 1000) {
        auto slice = ::grpc_slice_malloc(std::min<std::size_t>(1000, block_ - at));
        for (std::size_t i = 0; i < GRPC_SLICE_LENGTH(slice); ++i)
          GRPC_SLICE_START_PTR(slice)[i] = static_cast<std::uint8_t>(written_++ % 251);
        ::grpc_slice_buffer_add(bytes, slice);
      }
      if (!endpoint_->Write(
              [this](absl::Status s) {
                if (s.ok()) write();
              },
              &to_write_, {}))
        return;
    }
  }
  void read() {
    while (endpoint_->Read(
        [this](absl::Status s) {
          if (s.ok() && take()) read();
        },
        &got_, {}))
      if (!take()) return;
  }
  bool take() {
    const auto* const bytes = got_.c_slice_buffer();
    for (std::size_t i = 0; i < bytes->count; ++i)
      for (std::size_t at = 0; at < GRPC_SLICE_LENGTH(bytes->slices[i]); ++at)
        if (GRPC_SLICE_START_PTR(bytes->slices[i])[at] != read_++ % 251) intact_ = false;
    left_to_read_ -= got_.Length();
    if (left_to_read_ == 0) over_.set_value();
    return left_to_read_ > 0;
  }

  endpoint_ptr endpoint_;
  const std::size_t block_;
  int left_to_write_;
  std::size_t left_to_read_;
  std::size_t written_ = 0, read_ = 0;
  std::atomic<bool> intact_{true};
  SliceBuffer to_write_, got_;
  std::promise<void> over_;
};

}  // namespace

TEST_CASE("endpoints carry all bytes, in both directions at once", "[alone]") {
  const int threads = GENERATE(1, 3);
  const auto block = GENERATE(std::size_t{10}, std::size_t{1'500'000});
  const bool others_wait = GENERATE(false, true);  // so the stand-in thread works, too
  echo_server server;
  asio::io_context io;
  const auto engine = io_engine::make(io);
  background running(io, threads);
  std::vector<std::unique_ptr<conversation>> all;
  for (int i = 0; i < 4; ++i) {
    auto connected = connect(*engine, server.address());
    REQUIRE(connected.ok());
    all.push_back(std::make_unique<conversation>(*std::move(connected), block, block > 1'000 ? 2 : 2'000));
  }
  event_loop::make_current({engine, engine->loop().get()});
  std::atomic<bool> over{false};
  std::jthread waiting([&] {
    while (others_wait && !over) {
      const conn_grpc::detail::callback_loop::waiting waits;
      std::this_thread::sleep_for(1ms);
    }
  });
  for (auto& each : all) each->start();  // on this thread, which is none of the context's
  for (auto& each : all) {
    CHECK(each->is_over());
    CHECK(each->is_intact());
  }
  over = true;
  waiting.join();
  event_loop::make_current(nullptr);
  engine->loop()->detach();
  engine->loop()->settle(5s);
}

TEST_CASE("each task runs once, and never inside of Run", "[alone]") {
  asio::io_context io;
  const auto engine = io_engine::make(io);
  background running(io, 2);
  constexpr int per_thread = 5'000;
  std::atomic<int> ran{0}, nested{0};
  static thread_local bool inside = false;
  {
    std::vector<std::jthread> callers;
    for (int t = 0; t < 3; ++t)
      callers.emplace_back([&] {
        for (int i = 0; i < per_thread; ++i) {
          inside = true;
          engine->Run([&] {
            if (inside) ++nested;
            ++ran;
          });
          inside = false;
        }
      });
  }
  wait_until([&] { return ran >= 3 * per_thread; });
  CHECK(ran == 3 * per_thread);
  CHECK(nested == 0);
}

TEST_CASE("a timer is either cancelled or runs", "[alone]") {
  asio::io_context io;
  const auto engine = io_engine::make(io);
  background running(io, 2);
  constexpr int per_thread = 2'000;
  std::atomic<int> ran{0}, cancelled{0}, twice{0};
  {
    std::vector<std::jthread> callers;
    for (int t = 0; t < 3; ++t)
      callers.emplace_back([&] {
        for (int i = 0; i < per_thread; ++i) {
          const auto handle = engine->RunAfter(std::chrono::microseconds(i % 50 * 20), [&] { ++ran; });
          if (i % 2 == 0 && engine->Cancel(handle)) {
            ++cancelled;
            if (engine->Cancel(handle)) ++twice;
          }
        }
      });
  }
  wait_until([&] { return ran + cancelled >= 3 * per_thread; });
  CHECK(ran + cancelled == 3 * per_thread);
  CHECK(twice == 0);
}

TEST_CASE("the end of the loop ends each read, write and attempt once", "[alone]") {
  echo_server server;
  for (int round = 0; round < 20; ++round) {
    std::optional<asio::io_context> io(std::in_place);
    std::optional<background> running(std::in_place, *io, 2);
    const auto engine = io_engine::make(*io);
    std::vector<endpoint_ptr> endpoints;
    for (int i = 0; i < 4; ++i) endpoints.push_back(*connect(*engine, server.address()));
    std::vector<SliceBuffer> buffers(8);
    std::atomic<int> reads{0}, attempts{0};
    std::atomic<bool> ok{false};
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
      REQUIRE_FALSE(endpoints[i]->Read(
          [&](absl::Status s) {
            ++reads;
            if (s.ok()) ok = true;
          },
          &buffers[i], {}));
      engine->Connect([&](absl::StatusOr<endpoint_ptr>) { ++attempts; }, server.address(), no_config(),
                      MemoryAllocator(std::make_shared<plain_allocator>()), 20s);
    }
    if (round % 2 == 0) {
      engine->loop()->detach();
    } else {
      running.reset();
      io.reset();
    }
    engine->loop()->settle(10s);
    CHECK(reads == 4);
    CHECK(attempts == 4);
    CHECK_FALSE(ok);
    // Nothing works any more, and nothing crashes.
    CHECK_FALSE(connect(*engine, server.address()).ok());
    std::promise<bool> failed;
    CHECK_FALSE(endpoints[0]->Read([&](absl::Status s) { failed.set_value(!s.ok()); }, &buffers[0], {}));
    CHECK(failed.get_future().get());
    std::promise<void> ran;
    engine->RunAfter(1ms, [&] { ran.set_value(); });
    ran.get_future().get();
    endpoints.clear();
    engine->loop()->settle(10s);
    if (running) running.reset();
  }
}

namespace {

/// A connection in a context that only this thread runs.
struct polled_connection {
  explicit polled_connection(std::chrono::microseconds busy_poll) : engine(io_engine::make(*io, busy_poll)) {
    engine->Connect([this](absl::StatusOr<endpoint_ptr> result) { with_server = *std::move(result); }, server.address(),
                    no_config(), MemoryAllocator(std::make_shared<plain_allocator>()), 20s);
    wait_until([this] { return poll_one() == 0 && with_server != nullptr; });
  }
  /// Whether a handler is always ready. Without busy polling a few handlers run, those of the socket.
  [[nodiscard]] bool polls() {
    std::size_t handlers = 0;
    for (int i = 0; i < 100; ++i) handlers += poll_one();
    return handlers == 100;
  }

  [[nodiscard]] std::size_t poll_one() {
    io->restart();
    const auto work = asio::make_work_guard(*io);  // what gRPC waits for is not work
    return io->poll_one();
  }
  void fill() {
    to_write.Clear();
    ::grpc_slice_buffer_add(to_write.c_slice_buffer(), ::grpc_slice_malloc(10));
  }
  void write() {
    fill();
    REQUIRE(with_server->Write([](absl::Status) {}, &to_write, {}));  // it is sent at once
  }

  echo_server server;
  std::optional<asio::io_context> io{std::in_place};
  std::shared_ptr<io_engine> engine;
  endpoint_ptr with_server;
  SliceBuffer to_write;
};

}  // namespace

TEST_CASE("without busy polling no handler is ready after a write", "[alone]") {
  polled_connection f(0us);
  f.write();
  CHECK_FALSE(f.polls());
}

TEST_CASE("busy polling ends after its time", "[alone]") {
  polled_connection f(1ms);
  for (int i = 0; i < 3; ++i) {
    f.write();
    wait_until([&] { return !f.polls(); });
  }
}

TEST_CASE("a write that was put off begins busy polling, too", "[alone]") {
  polled_connection f(1h);
  CHECK_FALSE(f.polls());
  bool written = false;
  f.engine->Run([&] { CHECK_FALSE(f.with_server->Write([&](absl::Status) { written = true; }, &f.to_write, {})); });
  f.engine->Run([] {});  // so the first one's write may be followed by another
  f.fill();
  CHECK(f.polls());
  CHECK(written);
}

TEST_CASE("busy polling does not keep run() from returning", "[alone]") {
  polled_connection f(1h);
  f.write();
  f.io->restart();
  f.io->run_for(30s);
  CHECK(f.io->stopped());
  CHECK(f.polls());
}

TEST_CASE("while the context polls, a handler is ready", "[alone]") {
  polled_connection f(1h);
  f.write();
  REQUIRE(f.polls());
  SECTION("until several threads run the context") {
    std::jthread([&] { CHECK_FALSE(f.polls()); }).join();
    f.write();
    CHECK_FALSE(f.polls());
  }
  SECTION("until the loop is detached") {
    f.engine->loop()->detach();
    CHECK_FALSE(f.polls());
  }
  SECTION("until the context is destroyed") { f.io.reset(); }
}

TEST_CASE("attempts are cancelled, time out and fail", "[alone]") {
  asio::io_context io;
  const auto engine = io_engine::make(io);
  background running(io);
  // Its queue of connections is full, so the kernel leaves the next ones unanswered.
  asio::io_context other;
  asio::ip::tcp::acceptor full(other);
  full.open(asio::ip::tcp::v4());
  full.bind({asio::ip::address_v4::loopback(), 0});
  full.listen(0);
  const auto address = address_of(full);
  std::vector<asio::ip::tcp::socket> filling;
  for (int i = 0; i < 3; ++i) {
    filling.emplace_back(other);
    boost::system::error_code ignored;
    (void)filling.back().open(asio::ip::tcp::v4(), ignored);
    filling.back().non_blocking(true);
    (void)::connect(filling.back().native_handle(), address.address(), address.size());
  }
  const auto timed_out = connect(*engine, address, 50ms);
  REQUIRE_FALSE(timed_out.ok());
  CHECK_THAT(std::string(timed_out.status().message()), has_text("timed out"));
  std::atomic<int> called{0};
  const auto handle = engine->Connect([&](absl::StatusOr<endpoint_ptr>) { ++called; }, address, no_config(),
                                      MemoryAllocator(std::make_shared<plain_allocator>()), 20s);
  CHECK(engine->CancelConnect(handle));
  CHECK_FALSE(engine->CancelConnect(handle));
  full.close();
  const auto refused = connect(*engine, address);
  REQUIRE_FALSE(refused.ok());
  CHECK_THAT(std::string(refused.status().message()), has_text("Connection refused"));
  CHECK(called == 0);
}

TEST_CASE("a listener accepts until it is destroyed, and says when it is over", "[alone]") {
  asio::io_context io;
  const auto engine = io_engine::make(io);
  background running(io, 2);
  std::atomic<int> accepted{0}, over{0};
  std::mutex mutex;
  std::vector<endpoint_ptr> kept;
  auto listener = *engine->CreateListener(
      [&](endpoint_ptr endpoint, MemoryAllocator) {
        const std::lock_guard lock(mutex);
        kept.push_back(std::move(endpoint));
        ++accepted;
      },
      [&](absl::Status) { ++over; }, no_config(), std::make_unique<plain_allocators>());
  const asio::ip::tcp::endpoint any(asio::ip::address_v4::loopback(), 0);
  const auto port = listener->Bind({any.data(), static_cast<socklen_t>(any.size())});
  REQUIRE(port.ok());
  REQUIRE(listener->Start().ok());
  const asio::ip::tcp::endpoint to(asio::ip::address_v4::loopback(), static_cast<asio::ip::port_type>(*port));
  const socket_address address(to.data(), static_cast<socklen_t>(to.size()));
  for (int i = 0; i < 50; ++i) CHECK(connect(*engine, address).ok());
  wait_until([&] { return accepted >= 50; });
  CHECK(accepted == 50);
  CHECK(over == 0);
  listener.reset();
  wait_until([&] { return over > 0; });
  CHECK(over == 1);
  CHECK_FALSE(connect(*engine, address).ok());
  kept.clear();
}

TEST_CASE("a listener that was never started outlives the context", "[alone]") {
  std::optional<asio::io_context> io(std::in_place);
  const auto engine = io_engine::make(*io);
  std::atomic<int> over{0};
  auto listener = *engine->CreateListener([](endpoint_ptr, MemoryAllocator) {}, [&](absl::Status) { ++over; },
                                          no_config(), std::make_unique<plain_allocators>());
  const asio::ip::tcp::endpoint any(asio::ip::address_v4::loopback(), 0);
  const socket_address address(any.data(), static_cast<socklen_t>(any.size()));
  REQUIRE(listener->Bind(address).ok());
  io.reset();
  CHECK_FALSE(listener->Bind(address).ok());
  listener.reset();
  engine->loop()->settle(10s);
  CHECK(over == 1);
}

TEST_CASE("names", "[alone]") {
  asio::io_context io;
  const auto engine = io_engine::make(io);
  background running(io);
  auto resolver = *engine->GetDNSResolver({});
  const auto look_up = [&](const std::string& name, const std::string& port) {
    std::promise<found_addresses> found;
    resolver->LookupHostname([&](found_addresses result) { found.set_value(std::move(result)); }, name, port);
    return found.get_future().get();
  };
  CHECK(look_up("127.0.0.1:80", "443").value().size() == 1);
  CHECK(look_up("[::1]:80", "443").value().size() == 1);
  CHECK(look_up("127.0.0.1", "443").value().size() == 1);
  CHECK_FALSE(look_up("localhost", "").ok());
  CHECK_FALSE(look_up("localhost", "443").value().empty());
  CHECK_FALSE(look_up("no-such-name.invalid", "443").ok());
  // Not a Status: its references are counted in absl, which ThreadSanitizer does not see.
  std::promise<absl::StatusCode> text;
  resolver->LookupTXT([&](absl::StatusOr<std::vector<std::string>> result) { text.set_value(result.status().code()); },
                      "x");
  CHECK(text.get_future().get() == absl::StatusCode::kUnimplemented);
  // Destroyed with look-ups under way.
  std::atomic<int> called{0};
  for (int i = 0; i < 20; ++i) resolver->LookupHostname([&](found_addresses) { ++called; }, "localhost", "1");
  resolver.reset();
  wait_until([&] { return called >= 20; });
  CHECK(called == 20);
}
