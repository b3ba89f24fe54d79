// SPDX-License-Identifier: BSL-1.0
// Turns and their writes, through gRPC's interface, on one thread. ThreadSanitizer runs this.
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "engine/endpoint_fixture.hpp"
#include "grpc/call_into_grpc.hpp"
#include "grpc/callback_loop.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using namespace conn_grpc::test;
using conn_grpc::detail::callback_loop;
using conn_grpc::detail::deferred_completion;
using conn_grpc::engine::event_loop;
using conn_grpc::engine::io_engine;

namespace {

/// An engine whose context this thread runs, and a connection.
class turns_fixture {
 public:
  explicit turns_fixture(const socket_address& peer) {
    const auto work = asio::make_work_guard(*io);
    engine->Connect([&](absl::StatusOr<endpoint_ptr> result) { endpoint = *std::move(result); }, peer, no_config(),
                    MemoryAllocator(std::make_shared<plain_allocator>()), 20s);
    while (!endpoint) io->run_one();
    event_loop::make_current({engine, engine->loop().get()});
  }
  ~turns_fixture() {
    event_loop::make_current(nullptr);
    endpoint.reset();
    if (engine) engine->loop()->detach();
    if (engine) engine->loop()->settle(10s);
  }
  turns_fixture(const turns_fixture&) = delete;
  turns_fixture& operator=(const turns_fixture&) = delete;

  /// Calls it in a handler of the context, with all that follows.
  void in_handler(std::function<void()> called) {
    asio::post(*io, std::move(called));
    io->restart();
    io->poll();
  }

  /// @returns true when it was written at once.
  bool write(std::string_view text = "0123456789") {
    bytes.Clear();
    ::grpc_slice_buffer_add(bytes.c_slice_buffer(), ::grpc_slice_from_copied_buffer(text.data(), text.size()));
    return endpoint->Write(
        [this](const absl::Status& s) {
          was_ok = s.ok();
          words = s.message();
          ++written;
          if (after_write) std::exchange(after_write, nullptr)();
        },
        &bytes, {});
  }

  /// Writes in turns of this thread, until one of them puts its write off.
  void put_off_in_turns() {
    bool put_off = false;
    for (int turn = 0; turn < 100 && !put_off; ++turn) engine->loop()->in_turn([&] { put_off = !write(); });
    if (!put_off) throw std::runtime_error("no turn has put its write off");
  }
  /// Writes in a turn that will call more. Call it in a turn.
  void put_off_in_this_turn(std::string_view text = "0123456789") {
    engine->Run([] {});
    if (write(text)) throw std::runtime_error("the turn has not put its write off");
  }

  /// As the library does in a destructor. @returns whether the write has ended meanwhile.
  bool ends_while_this_thread_waits() {
    const callback_loop::waiting waits;
    return happens([this] { return written > 0; }) && written == 1;
  }

  std::optional<asio::io_context> io{std::in_place};
  std::shared_ptr<io_engine> engine = io_engine::make(*io);
  SliceBuffer bytes;
  std::function<void()> after_write;  // called once, by the callback of a write
  std::atomic<int> written{0};
  std::atomic<bool> was_ok{false};
  std::string words;
  endpoint_ptr endpoint;
};

/// A socket that the connection of a fixture is connected to.
class peer {
 public:
  [[nodiscard]] socket_address address() const { return address_of(acceptor_); }
  [[nodiscard]] asio::ip::tcp::socket accept() { return acceptor_.accept(); }

 private:
  asio::io_context io_;
  asio::ip::tcp::acceptor acceptor_{io_, {asio::ip::address_v4::loopback(), 0}};
};

/// All that comes until the connection is closed.
std::string all_of(asio::ip::tcp::socket& accepted) {
  std::string text;
  boost::system::error_code end;
  asio::read(accepted, asio::dynamic_buffer(text), end);
  return text;
}

class completion final : public deferred_completion {
 public:
  explicit completion(std::function<void()> called) : called_(std::move(called)) {}
  void complete_deferred() override { called_(); }

 private:
  const std::function<void()> called_;
};

void defer(std::function<void()> called) {
  callback_loop::after_callback(std::make_shared<completion>(std::move(called)));
}

}  // namespace

TEST_CASE("a write that is put off ends once", "[turns]") {
  const echo_server server;
  turns_fixture f(server.address());
  bool ok = true;
  SECTION("in the turn that is posted") {
    f.in_handler([&] { f.put_off_in_turns(); });
  }
  SECTION("at the end of its turn") {
    f.in_handler([&] { f.engine->loop()->in_turn([&] { f.put_off_in_this_turn(); }); });
  }
  SECTION("when a handler of its turn throws") {
    CHECK_THROWS_AS(f.in_handler([&] {
      f.put_off_in_turns();
      throw std::logic_error("thrown by a handler");
    }),
                    std::logic_error);
    f.in_handler([] {});
  }
  SECTION("when the context is stopped, as soon as it runs again") {
    f.in_handler([&] {
      f.put_off_in_turns();
      f.io->stop();
    });
    CHECK(f.written == 0);
    f.in_handler([] {});
  }
  SECTION("when its endpoint is destroyed") {
    ok = false;
    f.in_handler([&] {
      f.put_off_in_turns();
      f.endpoint.reset();
    });
  }
  SECTION("when the loop ends in its turn") {
    ok = false;
    f.in_handler([&] {
      f.engine->loop()->in_turn([&] {
        f.put_off_in_this_turn();
        f.engine->loop()->detach();
      });
    });
    f.engine->loop()->settle(10s);
  }
  SECTION("when the context is destroyed") {
    ok = false;
    f.in_handler([&] {
      f.put_off_in_turns();
      f.io->stop();
    });
    f.io.reset();
    f.engine->loop()->settle(10s);
  }
  CHECK(f.written == 1);
  CHECK(f.was_ok == ok);
}

// gRPC is told that a put-off write has ended. Its bytes leave later.
TEST_CASE("a put-off write is sent before later ones, and before its endpoint is destroyed", "[turns]") {
  peer other;
  turns_fixture f(other.address());
  auto accepted = other.accept();
  SECTION("when gRPC writes more as soon as it may") {
    f.in_handler([&] {
      f.after_write = [&] {
        f.after_write = [&] { CHECK(f.write("three")); };
        CHECK_FALSE(f.write("two, "));
      };
      f.engine->loop()->in_turn([&] { f.put_off_in_this_turn("one, "); });
    });
    CHECK(f.written == 2);
    f.endpoint.reset();
    CHECK(all_of(accepted) == "one, two, three");
  }
  SECTION("when gRPC destroys the endpoint as soon as it may") {
    f.in_handler([&] {
      f.after_write = [&] { f.endpoint.reset(); };
      f.engine->loop()->in_turn([&] { f.put_off_in_this_turn("the last words"); });
    });
    CHECK(all_of(accepted) == "the last words");
  }
  CHECK(f.was_ok);
}

TEST_CASE("the socket stays open until the peer has read a put-off write", "[turns]") {
  peer other;
  turns_fixture f(other.address());
  auto accepted = other.accept();
  const std::string text(std::size_t{16} * 1024 * 1024, 'x');
  f.in_handler([&] {
    f.after_write = [&] { f.endpoint.reset(); };
    f.engine->loop()->in_turn([&] { f.put_off_in_this_turn(text); });
  });
  CHECK(f.written == 1);
  CHECK(f.was_ok);
  SECTION("also while the peer sends") {
    asio::write(accepted, asio::buffer("this is not read"));
    f.io->restart();
    const background running(*f.io);
    CHECK((all_of(accepted) == text));  // not printed: it is long
  }
  SECTION("but not longer than the loop") {
    f.engine->loop()->detach();
    CHECK(all_of(accepted).size() < text.size());
  }
  SECTION("but not longer than the context") {
    f.io.reset();
    CHECK(all_of(accepted).size() < text.size());
  }
}

// gRPC was told that these bytes were sent.
TEST_CASE("when a put-off write cannot be sent, the read and the next write fail with the reason", "[turns]") {
  peer other;
  turns_fixture f(other.address());
  auto accepted = other.accept();
  accepted.set_option(asio::socket_base::linger(true, 0));
  accepted.close();  // resets the connection
  SliceBuffer got;
  std::string words_of_read;
  const bool reads = GENERATE(false, true);
  const auto work = asio::make_work_guard(*f.io);  // so that poll() looks at the socket
  f.in_handler([&] {
    if (reads) CHECK_FALSE(f.endpoint->Read([&](const absl::Status& s) { words_of_read = s.message(); }, &got, {}));
    f.engine->loop()->in_turn([&] { f.put_off_in_this_turn(); });
    CHECK(f.was_ok);
  });
  if (reads) CHECK_THAT(words_of_read, has_text("sendmsg: Connection reset by peer"));
  f.in_handler([&] { CHECK_FALSE(f.write()); });
  CHECK(f.written == 2);
  CHECK_FALSE(f.was_ok);
  CHECK_THAT(f.words, has_text("Connection reset by peer"));  // not "Broken pipe"
}

// As the destroy function of a grpc::Slice of the user's may.
TEST_CASE("a slice that is released after it was sent may write", "[turns]") {
  const echo_server server;
  turns_fixture f(server.address());
  bool released = false;
  SliceBuffer from_user;
  std::function<void()> release = [&] {
    released = true;
    f.write();
  };
  std::string text(1'000, 'x');
  const auto slice = ::grpc_slice_new_with_user_data(
      text.data(), text.size(), [](void* called) { (*static_cast<std::function<void()>*>(called))(); }, &release);
  ::grpc_slice_buffer_add(from_user.c_slice_buffer(), slice);
  f.in_handler([&] { CHECK(f.endpoint->Write([](const absl::Status&) {}, &from_user, {})); });
  CHECK(released);
}

// Only the first turn writes to the connection. gRPC would collect what the second one writes.
TEST_CASE("turns that are ready together put writes off in most rounds", "[turns]") {
  const echo_server server;
  turns_fixture f(server.address());
  constexpr int rounds = 100;
  int put_off = 0;
  for (int round = 0; round < rounds; ++round)
    f.in_handler([&] {
      f.engine->loop()->in_turn([&] { put_off += f.write() ? 0 : 1; });
      f.engine->loop()->in_turn([&] { f.engine->Run([] {}); });
    });
  CHECK(put_off > rounds * 3 / 4);
}

TEST_CASE("a write that is put off leaves while its thread waits for gRPC", "[turns]") {
  const echo_server server;
  turns_fixture f(server.address());
  bool ended = false;
  SECTION("to the end of the turn") {
    f.in_handler([&] {
      f.engine->loop()->in_turn([&] {
        f.put_off_in_this_turn();
        ended = f.ends_while_this_thread_waits();
      });
    });
  }
  SECTION("to the turn that is posted") {
    f.in_handler([&] {
      f.put_off_in_turns();
      ended = f.ends_while_this_thread_waits();
    });
  }
  CHECK(ended);
  CHECK(f.was_ok);
}

TEST_CASE("a task behind the ready handlers is called after them, and once", "[turns]") {
  const echo_server server;
  turns_fixture f(server.address());
  std::vector<std::string> order;
  std::atomic<int> called{0};
  bool was_last = false;
  const auto put_behind = [&] {
    return callback_loop::call_behind([&](bool is_last) {
      order.emplace_back("behind");
      was_last = is_last;
      ++called;
    });
  };
  CHECK_FALSE(put_behind());  // outside of a turn
  SECTION("in a turn of its own") {
    f.in_handler([&] {
      f.engine->loop()->in_turn([&] {
        asio::post(*f.io, [&] { order.emplace_back("ready"); });
        CHECK(put_behind());
      });
    });
    CHECK_FALSE(was_last);
    CHECK(order == std::vector<std::string>{"ready", "behind"});
  }
  SECTION("by another thread, while this one waits for gRPC") {
    f.in_handler([&] {
      f.engine->loop()->in_turn([&] {
        CHECK(put_behind());
        const callback_loop::waiting waits;
        CHECK(happens([&] { return called > 0; }));
        CHECK_FALSE(put_behind());
      });
    });
    CHECK(was_last);
  }
  SECTION("by what ends the loop, before the sockets are closed") {
    f.in_handler([&] {
      f.engine->loop()->in_turn([&] {
        CHECK(callback_loop::call_behind([&](bool) { CHECK(f.write()); }));
        CHECK(put_behind());
        f.engine->Run([] {});  // a turn that has more to call puts writes off, but not at its end
        f.engine->loop()->detach();
        CHECK(called == 1);
        CHECK_FALSE(put_behind());
      });
    });
    CHECK(was_last);
  }
  CHECK(called == 1);
}

// gRPC hands the loss of a connection over as a function, and may retry an RPC on that
// connection until it has been called.
TEST_CASE("what a call into gRPC waits for is called while the only thread is stuck in it", "[turns]") {
  struct calls_the_engine_at_its_end {
    ~calls_the_engine_at_its_end() {
      engine.Run([] {});
    }
    EventEngine& engine;
  };
  struct closure final : EventEngine::Closure {
    void Run() override { ++runs; }
    std::atomic<int> runs{0};
  };
  const bool has_control_work = GENERATE(false, true);  // all the time, which another thread queues
  asio::io_context io;
  const auto engine = io_engine::make(io);
  closure control;
  std::jthread other([&](const std::stop_token& stops) {
    for (int queued = 0; has_control_work && !stops.stop_requested(); ++queued) {
      engine->Run(&control);
      while (control.runs <= queued && !stops.stop_requested()) std::this_thread::sleep_for(1ms);
    }
  });
  int called = 0;
  asio::post(io, [&] {
    const conn_grpc::detail::call_into_grpc call;
    for (int i = 0; i < 3; ++i) {
      const auto notified = std::make_shared<std::promise<void>>();
      engine->Run(
          [notified, owned = std::make_shared<calls_the_engine_at_its_end>(*engine)] { notified->set_value(); });
      if (notified->get_future().wait_for(20s) == std::future_status::ready) ++called;
    }
  });
  io.run();
  CHECK(called == 3);
  other.request_stop();
  other.join();
  engine->loop()->detach();
  engine->loop()->settle(10s);  // the last of them may still be called
}

TEST_CASE("a write goes on when the peer reads, while its thread waits for gRPC", "[turns]") {
  constexpr std::size_t size = 64 * 1024 * 1024;
  peer other;
  turns_fixture f(other.address());
  auto accepted = other.accept();
  bool ended = false;
  std::jthread reader;
  f.in_handler([&] {
    f.engine->loop()->in_turn([&] { CHECK_FALSE(f.write(std::string(size, 'x'))); });
    reader = std::jthread([&] {
      std::vector<char> bytes(1024 * 1024);
      boost::system::error_code error;
      for (std::size_t read = 0; read < size && !error;) read += accepted.read_some(asio::buffer(bytes), error);
    });
    ended = f.ends_while_this_thread_waits();
  });
  CHECK(ended);
  f.in_handler([] {});
  f.endpoint.reset();
}

// The task may be the one that reports the loss of the connection on which the handler would
// begin its next RPC.
TEST_CASE("the tasks that are queued come before the handlers of RPCs that have ended", "[turns]") {
  const echo_server server;
  turns_fixture f(server.address());
  std::string order;
  f.engine->Run([&] {
    order += "callback ";
    defer([&] {
      order += "handler ";
      f.engine->Run([&] { order += "its task "; });
    });
    defer([&] { order += "second handler"; });
    f.engine->Run([&] { order += "task of the callback, "; });
  });
  f.engine->Run([&] { order += "task, "; });
  f.in_handler([] {});
  CHECK(order == "callback task, task of the callback, handler its task second handler");
}

TEST_CASE("handlers do not wait for tasks without end", "[turns]") {
  const echo_server server;
  turns_fixture f(server.address());
  bool handled = false;
  const std::function<void()> again = [&] {
    if (!handled) f.engine->Run(again);
  };
  f.engine->Run([&] { defer([&] { handled = true; }); });
  f.engine->Run(again);
  f.in_handler([] {});
  CHECK(handled);
}

TEST_CASE("a handler of a turn may run the context", "[turns]") {
  const echo_server server;
  turns_fixture f(server.address());
  int written = -1;
  f.in_handler([&] {
    f.engine->loop()->in_turn([&] {
      f.put_off_in_turns();
      f.io->poll();
      written = f.written;
    });
  });
  CHECK(written == 1);
}

TEST_CASE("after the end of the loop its context runs nothing of gRPC's", "[turns]") {
  const echo_server server;
  turns_fixture f(server.address());
  SliceBuffer got;
  CHECK_FALSE(f.endpoint->Read([](const absl::Status&) {}, &got, {}));
  f.in_handler([] {});
  f.engine->loop()->detach();
  std::promise<void> blocked, may_go_on;
  f.engine->Run([&] {
    blocked.set_value();
    may_go_on.get_future().get();
  });
  blocked.get_future().get();
  std::promise<std::thread::id> ran_on;
  f.engine->Run([&] { ran_on.set_value(std::this_thread::get_id()); });
  f.in_handler([] {});  // and the handler of the read, which was aborted
  may_go_on.set_value();
  CHECK(ran_on.get_future().get() != std::this_thread::get_id());
}

TEST_CASE("what a turn has to complete is completed, although a handler ends the loop and throws", "[turns]") {
  const echo_server server;
  turns_fixture f(server.address());
  bool completed = false;
  const auto throws = [&] {
    f.engine->loop()->in_turn([&] {
      defer([&] {
        event_loop::make_current(nullptr);
        const auto loop = f.engine->loop();
        f.engine.reset();
        loop->join();
        throw std::logic_error("thrown by a handler");
      });
      defer([&] { completed = true; });
    });
  };
  CHECK_THROWS_AS(f.in_handler(throws), std::logic_error);
  CHECK(completed);
}
