// SPDX-License-Identifier: BSL-1.0
// Executors, handlers and allocators of the user's that call the pool, own their context,
// or throw.
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/system_executor.hpp>
#include <conn_grpc/detail/posted_handler.hpp>
#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/user_executor.hpp"
#include "support/waiting_fixture.hpp"

namespace asio = boost::asio;
using namespace conn_grpc::test;
using conn_grpc::errc;
using conn_grpc::error_code;
using conn_grpc::runtime::channel_ptr;

namespace {

/// A pool, and an executor of the user's on another context.
struct executors_fixture : pool_fixture {
  template <class Handler>
  void get(Handler handler, std::chrono::nanoseconds timeout = 100ms) {
    conn_grpc::detail::posted_handler posted(std::move(handler), executor());
    auto& handler_context = posted.context();
    pool->wait_for_channel(std::move(posted), handler_context, timeout);
  }
  template <class Handler>
  void size(Handler handler) {
    conn_grpc::detail::posted_handler posted(std::move(handler), executor());
    auto& handler_context = posted.context();
    pool->wait_for_size(std::move(posted), handler_context, 1, 100ms);
  }
  [[nodiscard]] user_executor executor() const { return {other, script}; }

  /// Ends all waiting in the given way.
  void end(const std::string& how) {
    if (how == "deadline") advance(100ms);
    if (how == "stop") pool->stop();
    if (how == "hand-over") connector.last().succeed(), drain();
    if (how == "cancellation") cancel.emit(asio::cancellation_type::total);
  }

  /// Calls the functions that users call.
  void call_pool() const {
    (void)pool->executor();
    (void)pool->status();
    (void)next();
    pool->stop();
  }

  std::shared_ptr<asio::io_context> other = std::make_shared<asio::io_context>();
  std::shared_ptr<user_script> script = std::make_shared<user_script>();
  asio::cancellation_signal cancel;
};

std::string any_end() { return GENERATE("deadline", "stop", "hand-over", "cancellation"); }

/// Calls a function when it is destroyed, but not when it was moved.
class at_destruction {
 public:
  explicit at_destruction(std::function<void()> call) : call_(std::move(call)) {}
  at_destruction(at_destruction&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
  at_destruction& operator=(at_destruction&&) = delete;
  ~at_destruction() {
    if (call_) call_();
  }

 private:
  std::function<void()> call_;
};

/// Calls a function when it allocates, and when it deallocates.
template <class T>
struct calling_allocator {
  using value_type = T;
  explicit calling_allocator(std::shared_ptr<std::function<void()>> its_call) : call(std::move(its_call)) {}
  template <class U>
  calling_allocator(const calling_allocator<U>& other) : call(other.call) {}  // NOLINT: as allocators are

  T* allocate(std::size_t n) {
    (*call)();
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* memory, std::size_t n) {
    std::allocator<T>().deallocate(memory, n);
    (*call)();
  }
  template <class U>
  bool operator==(const calling_allocator<U>& other) const {
    return call == other.call;
  }

  std::shared_ptr<std::function<void()>> call;
};

/// Keeps only the newest function: it drops what it has when it is given more.
struct newest_only {
  std::shared_ptr<std::vector<std::function<void()>>> queue;
  bool* refuses;

  template <class Function>
  void execute(Function function) const {
    queue->clear();
    if (*refuses) throw std::runtime_error("closed");
    queue->push_back([kept = std::make_shared<Function>(std::move(function))] { (*kept)(); });
  }
  static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
    return asio::execution::blocking.never;
  }
  bool operator==(const newest_only&) const noexcept = default;
};

}  // namespace

TEST_CASE("a handler's executor may be the last owner of its context", "[executors]") {
  executors_fixture f;
  f.run();
  f.script->runs_at_once = true;
  int called = 0;
  const std::string how = any_end();
  CAPTURE(how);
  f.get(asio::bind_cancellation_slot(f.cancel.slot(), [&](error_code, const channel_ptr&) { ++called; }));
  const std::weak_ptr context = std::exchange(f.other, nullptr);
  REQUIRE_FALSE(context.expired());
  f.end(how);
  CHECK(called == 1);
  CHECK(context.expired());
}

TEST_CASE("an executor may drop a handler, and with it the last owner of its context", "[executors]") {
  executors_fixture f;
  f.run();
  f.script->drops = true;
  int destroyed = 0;
  f.get([held = at_destruction([&] { ++destroyed; })](error_code, const channel_ptr&) { FAIL("called"); });
  f.size([held = at_destruction([&] { ++destroyed; })](error_code) { FAIL("called"); });
  const std::weak_ptr context = std::exchange(f.other, nullptr);
  f.end(GENERATE("deadline", "stop", "hand-over"));
  CHECK(destroyed == 2);
  CHECK(context.expired());
}

TEST_CASE("a pool's executor may call the pool from execute(), and when it is copied", "[executors]") {
  executors_fixture f;
  f.make_pool(f.executor());
  bool inside = false;
  int pool_calls = 0;
  const auto call_pool = [&] {
    if (std::exchange(inside, true)) return;
    f.call_pool();
    ++pool_calls;
    inside = false;
  };
  const bool copied = GENERATE(false, true);
  (copied ? f.script->on_copy : f.script->on_execute) = call_pool;
  f.pool->async_run([&](error_code ec) { f.ended = ec; });
  f.other->poll();
  CHECK(pool_calls > 0);
  CHECK(f.ended == error_code());
  f.script->on_copy = {};
}

TEST_CASE("a handler's executor may call the pool from execute(), and when it is copied", "[executors]") {
  executors_fixture f;
  f.run();
  int called = 0;
  bool inside = false;
  f.get([&](error_code, const channel_ptr&) { ++called; });
  const auto call_pool = [&] {
    if (!std::exchange(inside, true)) f.call_pool();
  };
  (GENERATE(false, true) ? f.script->on_copy : f.script->on_execute) = call_pool;
  f.end(GENERATE("deadline", "stop", "hand-over"));
  f.other->poll();
  CHECK(called == 1);
  CHECK(inside);
  f.drain();
  CHECK(f.ended == error_code());
}

TEST_CASE("a handler's destructor may call the pool", "[executors]") {
  executors_fixture f;
  f.run();
  int destroyed = 0;
  const auto handler = [&] {
    return [held = at_destruction([&] { f.call_pool(), ++destroyed; })](error_code, const channel_ptr&) {};
  };
  const std::string how = GENERATE("dropped", "context destroyed", "posted");
  CAPTURE(how);
  if (how == "context destroyed") {
    auto handler_context = std::make_unique<asio::io_context>();
    f.pool->wait_for_channel(conn_grpc::detail::posted_handler(handler(), handler_context->get_executor()),
                             *handler_context, 100ms);
    handler_context.reset();
  } else {
    f.script->drops = how == "dropped";
    f.get(handler());
    f.end("deadline");
    f.other->poll();
  }
  CHECK(destroyed == 1);
}

TEST_CASE("a handler's allocator may call the pool", "[executors]") {
  executors_fixture f;
  f.run();
  const auto call = std::make_shared<std::function<void()>>([] {});
  int called = 0;
  int pool_calls = 0;
  f.get(asio::bind_allocator(calling_allocator<void*>(call), [&](error_code, const channel_ptr&) { ++called; }));
  *call = [&] { f.call_pool(), ++pool_calls; };
  f.end(GENERATE("deadline", "stop", "hand-over"));
  f.other->poll();
  CHECK(called == 1);
  CHECK(pool_calls > 0);
  *call = [] {};
}

TEST_CASE("a handler's allocator is called in the initiating function, and where the handler is called",
          "[executors]") {
  executors_fixture f;
  f.run();
  int calls = 0;
  int calls_before_handler = 0;
  const auto call = std::make_shared<std::function<void()>>([&] { ++calls; });
  auto handler = asio::bind_allocator(calling_allocator<void*>(call),
                                      [&](error_code, const channel_ptr&) { calls_before_handler = calls; });
  const std::string how = GENERATE("deadline", "stop", "hand-over", "cancellation", "at once");
  const bool refused = GENERATE(false, true);
  CAPTURE(how, refused);
  f.script->refused = refused ? 1 : 0;
  if (how == "at once")
    conn_grpc::detail::complete_now(std::move(handler), f.executor(), *f.pool, error_code(), nullptr);
  else
    f.get(asio::bind_cancellation_slot(f.cancel.slot(), std::move(handler)));
  CHECK(calls == 1);
  f.end(how);
  if (!refused) CHECK(calls == 1);
  f.drain();
  f.other->poll();
  CHECK(calls_before_handler == 2);
  CHECK(calls == 2);
}

TEST_CASE("a handler may own what its allocator needs", "[executors]") {
  executors_fixture f;
  f.run();
  f.script->drops = GENERATE(false, true);
  int calls = 0;
  int called = 0;
  const auto call = std::make_shared<std::function<void()>>([&] { ++calls; });
  f.get(asio::any_completion_handler<void(error_code, channel_ptr)>(
      asio::bind_allocator(calling_allocator<void*>(call), [&](error_code, const channel_ptr&) { ++called; })));
  f.end("deadline");
  f.other->poll();
  CHECK(called == (f.script->drops ? 0 : 1));
  CHECK(calls == 4);
}

TEST_CASE("a handler that its executor refuses is posted to the pool's executor", "[executors]") {
  executors_fixture f;
  f.run();
  f.script->refused = 1;
  std::optional<error_code> got;
  std::optional<error_code> sized;
  channel_ptr channel;
  const std::string how = any_end();
  CAPTURE(how);
  const bool wants_size = how != "cancellation" && GENERATE(false, true);
  if (wants_size)
    f.size([&](error_code ec) { sized = ec; });
  else
    f.get(asio::bind_cancellation_slot(f.cancel.slot(), [&](error_code ec, channel_ptr found) {
      got = ec;
      channel = std::move(found);
    }));
  f.end(how);
  f.drain();
  const error_code expected = how == "deadline"       ? make_error_code(errc::not_connected)
                              : how == "stop"         ? make_error_code(errc::stopped)
                              : how == "cancellation" ? error_code(asio::error::operation_aborted)
                                                      : error_code();
  CHECK((wants_size ? sized : got) == expected);
  CHECK((channel != nullptr) == (!wants_size && how == "hand-over"));
  CHECK(f.script->refused == 0);
  CHECK(f.other->poll() == 0);
}

TEST_CASE("a refused handler is not lost when its get need not wait", "[executors]") {
  executors_fixture f;
  f.run();
  f.connector.last().succeed();
  f.drain();
  f.script->refused = 1;
  channel_ptr channel;
  conn_grpc::detail::complete_now([&](error_code, channel_ptr found) { channel = std::move(found); }, f.executor(),
                                  *f.pool, error_code(), *f.next());
  CHECK_FALSE(channel);
  f.drain();
  CHECK(channel);
}

TEST_CASE("the system executor calls the handler when the pool's executor throws, too", "[executors]") {
  executors_fixture f;
  const auto pools = std::make_shared<user_script>();
  f.make_pool(user_executor(f.io, pools));
  f.run();
  std::promise<std::thread::id> called;
  f.get([&](error_code, const channel_ptr&) { called.set_value(std::this_thread::get_id()); });
  f.script->refused = 1;
  pools->refused = 1;
  f.pool->stop();
  CHECK(called.get_future().get() != std::this_thread::get_id());
  f.drain();
  CHECK(f.ended == error_code());
}

TEST_CASE("an exception of an executor that has kept the handler is dropped", "[executors]") {
  executors_fixture f;
  f.run();
  f.script->refused = 1;
  f.script->keeps_refused = true;
  int called = 0;
  f.get([&](error_code, const channel_ptr&) { ++called; });
  f.end(GENERATE("deadline", "stop", "hand-over"));
  f.drain();
  CHECK(called == 0);
  f.other->poll();
  CHECK(called == 1);
}

TEST_CASE("a handler that is destroyed while another handler is refused is not mistaken for it", "[executors]") {
  using conn_grpc::detail::completion;
  bool refuses = false;
  const newest_only executor{std::make_shared<std::vector<std::function<void()>>>(), &refuses};
  std::string called;
  struct handler {
    std::string* called;
    void operator()(char name) const { called->push_back(name); }
  };
  const auto post = [&](char name) {
    completion<handler, char> posted(handler{&called}, name);
    const bool accepted = conn_grpc::detail::try_post(executor, posted);
    if (!accepted) posted();
    return accepted;
  };
  CHECK(post('a'));
  CHECK(post('b'));
  refuses = true;
  CHECK_FALSE(post('c'));  // from the same place on the stack
  CHECK(called == "c");
  CHECK(executor.queue->empty());
}

TEST_CASE("a completion is accepted when the executor keeps a copy of it, whatever the executor throws",
          "[executors]") {
  int called = 0;
  const auto count = [&called] { ++called; };
  using counting = std::remove_const_t<decltype(count)>;
  conn_grpc::detail::completion<counting> posted(counting{count});
  std::function<void()> kept;
  CHECK_THROWS_AS(posted.hand_over([&](auto&& given) {
    kept = given;
    const auto moved = std::move(given);
    throw std::runtime_error("no thread to wake");
  }),
                  std::runtime_error);
  kept();
  CHECK(called == 1);

  conn_grpc::detail::completion<counting> refused(counting{count});
  CHECK_FALSE(refused.hand_over([&](auto&& given) {
    const auto moved = std::move(given);
    const std::function<void()> dropped(moved);
    throw std::runtime_error("queue is full");
  }));
  refused();
  CHECK(called == 2);
}
