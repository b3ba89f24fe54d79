// SPDX-License-Identifier: BSL-1.0
// Handlers that come and go, some by throwing, while other threads emit. Names that get
// other owners while other threads look them up.
#include <spdlog/logger.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <conn_grpc/telemetry.hpp>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "runtime/name_registry.hpp"
#include "support/catch.hpp"

using conn_grpc::event;
using conn_grpc::telemetry;
using conn_grpc::telemetry_event;
using conn_grpc::runtime::name_registry;

namespace {

void on_threads(int count, const std::function<void(int)>& work) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < count; ++t) threads.emplace_back(work, t);
}

}  // namespace

TEST_CASE("handlers attach, detach and throw while other threads emit", "[telemetry]") {
  telemetry t;
  spdlog::logger silent("silent");
  std::atomic<int> received = 0;
  std::atomic<bool> wrong = false;
  std::atomic<int> attaching = 2;
  on_threads(4, [&](int thread) {
    if (thread < 2) {
      for (int i = 0; attaching > 0; ++i) t.emit({.name = i % 2 ? event::channel_get : event::pool_status}, &silent);
      return;
    }
    const std::string id = "handler " + std::to_string(thread);
    for (int i = 0; i < 2'000; ++i) {
      // A copy of `id`: an emission that began before detach() may call the handler when this thread has ended.
      const bool attached = t.attach(id, event::channel_get, [&, id, i](const telemetry_event& e) {
        ++received;
        if (e.name != event::channel_get) wrong = true;
        if (i % 3 == 0) throw std::runtime_error("at random");
        if (i % 3 == 1) t.detach(id);
      });
      if (!attached) wrong = true;
      t.emit({.name = event::channel_get}, &silent);
      t.detach(id);
    }
    --attaching;
  });
  CHECK(received >= 2 * 2'000);
  CHECK_FALSE(wrong);
  CHECK_FALSE(t.wants(event::channel_get, event::pool_status));
}

TEST_CASE("after detach, the thread that detached does not call the handler", "[telemetry]") {
  telemetry t;
  std::atomic<bool> wrong = false;
  on_threads(3, [&](int thread) {
    const std::string id = std::to_string(thread);
    for (int i = 0; i < 3'000; ++i) {
      const auto owner = std::this_thread::get_id();
      const auto calls = std::make_shared<std::atomic<int>>(0);
      t.attach(id, event::channel_get, [=](const telemetry_event&) {
        if (std::this_thread::get_id() == owner) ++*calls;
      });
      t.emit({.name = event::channel_get});
      t.detach(id);
      t.emit({.name = event::channel_get});
      if (*calls != 1) wrong = true;
    }
  });
  CHECK_FALSE(wrong);
}

TEST_CASE("names get other owners while other threads look them up", "[names]") {
  for (int round = 0; round < 20; ++round) {
    boost::asio::io_context context;
    const auto names = name_registry::of(context);
    std::atomic<bool> wrong = false;
    on_threads(4, [&](int thread) {
      const std::string name = thread % 2 ? "odd" : "even";
      for (int i = 0; i < 500; ++i) {
        const auto me = std::make_shared<std::string>(name);
        const bool mine = names->claim(name, me);
        for (const char* wanted : {"odd", "even"})
          if (const auto found = std::static_pointer_cast<std::string>(name_registry::find(context, wanted)))
            wrong = wrong || *found != wanted;
        if (mine && name_registry::find(context, name) != me) wrong = true;
        if (mine) names->release(me.get());
        if (name_registry::find(context, name) == me) wrong = true;
      }
    });
    CHECK_FALSE(wrong);
  }
}
