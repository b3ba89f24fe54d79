// SPDX-License-Identifier: BSL-1.0
// Executors, handlers and allocators of the user's that reach back into the library, own their context, or throw.
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

/// A pool, and an executor of the user's, of another context.
struct world : pool_fixture {
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

  /// Ends all waiting, in one of the ways.
  void end(const std::string& how) {
    if (how == "deadline") advance(100ms);
    if (how == "stop") pool->stop();
    if (how == "hand-over") connector.last().succeed(), drain();
    if (how == "cancellation") cancel.emit(asio::cancellation_type::total);
  }

  /// Everything that users call.
  void reach_back() const {
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

/// Drops what it has whenever it is given more.
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

TEST_CASE("a handler's executor that is the last owner of its context", "[executors]") {
  world w;
  w.run();
  w.script->runs_at_once = true;
  int called = 0;
  const std::string how = any_end();
  CAPTURE(how);
  w.get(asio::bind_cancellation_slot(w.cancel.slot(), [&](error_code, const channel_ptr&) { ++called; }));
  const std::weak_ptr context = std::exchange(w.other, nullptr);
  REQUIRE_FALSE(context.expired());
  w.end(how);
  CHECK(called == 1);
  CHECK(context.expired());
}

TEST_CASE("an executor that drops a handler, and with it the last owner of its context", "[executors]") {
  world w;
  w.run();
  w.script->drops = true;
  int destroyed = 0;
  w.get([held = at_destruction([&] { ++destroyed; })](error_code, const channel_ptr&) { FAIL("called"); });
  w.size([held = at_destruction([&] { ++destroyed; })](error_code) { FAIL("called"); });
  const std::weak_ptr context = std::exchange(w.other, nullptr);
  w.end(GENERATE("deadline", "stop", "hand-over"));
  CHECK(destroyed == 2);
  CHECK(context.expired());
}

TEST_CASE("a pool's executor that reaches back from execute(), and when it is copied", "[executors]") {
  world w;
  w.make_pool(w.executor());
  bool inside = false;
  int reached = 0;
  const auto reach_back = [&] {
    if (std::exchange(inside, true)) return;
    w.reach_back();
    ++reached;
    inside = false;
  };
  const bool copied = GENERATE(false, true);
  (copied ? w.script->on_copy : w.script->on_execute) = reach_back;
  w.pool->async_run([&](error_code ec) { w.ended = ec; });
  w.other->poll();
  CHECK(reached > 0);
  CHECK(w.ended == error_code());
  w.script->on_copy = {};
}

TEST_CASE("a handler's executor that reaches back from execute(), and when it is copied", "[executors]") {
  world w;
  w.run();
  int called = 0;
  bool inside = false;
  w.get([&](error_code, const channel_ptr&) { ++called; });
  const auto reach_back = [&] {
    if (!std::exchange(inside, true)) w.reach_back();
  };
  (GENERATE(false, true) ? w.script->on_copy : w.script->on_execute) = reach_back;
  w.end(GENERATE("deadline", "stop", "hand-over"));
  w.other->poll();
  CHECK(called == 1);
  CHECK(inside);
  w.drain();
  CHECK(w.ended == error_code());
}

TEST_CASE("a handler whose destructor reaches back", "[executors]") {
  world w;
  w.run();
  int destroyed = 0;
  const auto handler = [&] {
    return [held = at_destruction([&] { w.reach_back(), ++destroyed; })](error_code, const channel_ptr&) {};
  };
  const std::string how = GENERATE("dropped", "its context goes", "posted");
  CAPTURE(how);
  if (how == "its context goes") {
    auto handler_context = std::make_unique<asio::io_context>();
    w.pool->wait_for_channel(conn_grpc::detail::posted_handler(handler(), handler_context->get_executor()),
                             *handler_context, 100ms);
    handler_context.reset();
  } else {
    w.script->drops = how == "dropped";
    w.get(handler());
    w.end("deadline");
    w.other->poll();
  }
  CHECK(destroyed == 1);
}

TEST_CASE("a handler whose allocator reaches back", "[executors]") {
  world w;
  w.run();
  const auto call = std::make_shared<std::function<void()>>([] {});
  int called = 0;
  int reached = 0;
  w.get(asio::bind_allocator(calling_allocator<void*>(call), [&](error_code, const channel_ptr&) { ++called; }));
  *call = [&] { w.reach_back(), ++reached; };
  w.end(GENERATE("deadline", "stop", "hand-over"));
  w.other->poll();
  CHECK(called == 1);
  CHECK(reached > 0);
  *call = [] {};
}

TEST_CASE("a handler's allocator is called in the initiating function, and where the handler is called",
          "[executors]") {
  world w;
  w.run();
  int calls = 0;
  int calls_before_handler = 0;
  const auto call = std::make_shared<std::function<void()>>([&] { ++calls; });
  auto handler = asio::bind_allocator(calling_allocator<void*>(call),
                                      [&](error_code, const channel_ptr&) { calls_before_handler = calls; });
  const std::string how = GENERATE("deadline", "stop", "hand-over", "cancellation", "at once");
  const bool refused = GENERATE(false, true);
  CAPTURE(how, refused);
  w.script->refused = refused ? 1 : 0;
  if (how == "at once")
    conn_grpc::detail::complete_now(std::move(handler), w.executor(), *w.pool, error_code(), nullptr);
  else
    w.get(asio::bind_cancellation_slot(w.cancel.slot(), std::move(handler)));
  CHECK(calls == 1);
  w.end(how);
  if (!refused) CHECK(calls == 1);
  w.drain();
  w.other->poll();
  CHECK(calls_before_handler == 2);
  CHECK(calls == 2);
}

TEST_CASE("a handler that owns what its allocator needs", "[executors]") {
  world w;
  w.run();
  w.script->drops = GENERATE(false, true);
  int calls = 0;
  int called = 0;
  const auto call = std::make_shared<std::function<void()>>([&] { ++calls; });
  w.get(asio::any_completion_handler<void(error_code, channel_ptr)>(
      asio::bind_allocator(calling_allocator<void*>(call), [&](error_code, const channel_ptr&) { ++called; })));
  w.end("deadline");
  w.other->poll();
  CHECK(called == (w.script->drops ? 0 : 1));
  CHECK(calls == 4);
}

TEST_CASE("a handler that its executor refuses is posted to the pool's executor", "[executors]") {
  world w;
  w.run();
  w.script->refused = 1;
  std::optional<error_code> got;
  std::optional<error_code> sized;
  channel_ptr channel;
  const std::string how = any_end();
  CAPTURE(how);
  const bool wants_size = how != "cancellation" && GENERATE(false, true);
  if (wants_size)
    w.size([&](error_code ec) { sized = ec; });
  else
    w.get(asio::bind_cancellation_slot(w.cancel.slot(), [&](error_code ec, channel_ptr found) {
      got = ec;
      channel = std::move(found);
    }));
  w.end(how);
  w.drain();
  const error_code expected = how == "deadline"       ? make_error_code(errc::not_connected)
                              : how == "stop"         ? make_error_code(errc::stopped)
                              : how == "cancellation" ? error_code(asio::error::operation_aborted)
                                                      : error_code();
  CHECK((wants_size ? sized : got) == expected);
  CHECK((channel != nullptr) == (!wants_size && how == "hand-over"));
  CHECK(w.script->refused == 0);
  CHECK(w.other->poll() == 0);
}

TEST_CASE("a get that need not wait is not lost, either", "[executors]") {
  world w;
  w.run();
  w.connector.last().succeed();
  w.drain();
  w.script->refused = 1;
  channel_ptr channel;
  conn_grpc::detail::complete_now([&](error_code, channel_ptr found) { channel = std::move(found); }, w.executor(),
                                  *w.pool, error_code(), *w.next());
  CHECK_FALSE(channel);
  w.drain();
  CHECK(channel);
}

TEST_CASE("when the pool's executor throws, too, it is the system executor that calls", "[executors]") {
  world w;
  const auto pools = std::make_shared<user_script>();
  w.make_pool(user_executor(w.io, pools));
  w.run();
  std::promise<std::thread::id> called;
  w.get([&](error_code, const channel_ptr&) { called.set_value(std::this_thread::get_id()); });
  w.script->refused = 1;
  pools->refused = 1;
  w.pool->stop();
  CHECK(called.get_future().get() != std::this_thread::get_id());
  w.drain();
  CHECK(w.ended == error_code());
}

TEST_CASE("what an executor throws that has kept the handler is dropped", "[executors]") {
  world w;
  w.run();
  w.script->refused = 1;
  w.script->keeps_what_it_refuses = true;
  int called = 0;
  w.get([&](error_code, const channel_ptr&) { ++called; });
  w.end(GENERATE("deadline", "stop", "hand-over"));
  w.drain();
  CHECK(called == 0);
  w.other->poll();
  CHECK(called == 1);
}

TEST_CASE("what is destroyed while another handler is refused is not taken for that one", "[executors]") {
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

TEST_CASE("a completion of which an executor keeps a copy has been accepted, whatever it throws", "[executors]") {
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
