// SPDX-License-Identifier: BSL-1.0
#include <spdlog/spdlog.h>

#include "view.hpp"

namespace demo {
namespace {

/// Shares spdlog's default logger with the pool, which logs each transition there.
class plain final : public view {
 public:
  plain() {
    spdlog::set_level(spdlog::level::debug);
    spdlog::set_pattern("[%H:%M:%S.%e] %v");
  }

  void show(const scene& moment) override {
    if (++shown_ % 10 != 0) return;
    spdlog::info("{}/{} connected, calls: {} ok, {} failed, {} turned away", moment.pool.current_size,
                 moment.pool.expected_size, moment.calls.ok, moment.calls.failed, moment.calls.turned_away);
  }

  void turn_to(const scene& moment) override { spdlog::info("*** {}", moment.title); }

 private:
  int shown_ = 0;
};

}  // namespace

std::unique_ptr<view> plain_view() { return std::make_unique<plain>(); }

}  // namespace demo
