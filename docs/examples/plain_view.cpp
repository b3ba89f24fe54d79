// SPDX-License-Identifier: BSL-1.0
#include <spdlog/spdlog.h>

#include <algorithm>

#include "call_history.hpp"
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
    history_.add(moment);
    if (++shown_ % 10 != 0) return;
    std::string text;
    for (std::size_t i = 0; i < moment.backends.size(); ++i) text += text_of(moment.backends[i], history_.share(i));
    spdlog::info("{}RPCs: {}", text, moment.rpcs.text());
  }

  void turn_to(const scene& moment) override { spdlog::info("*** {}", moment.title); }

 private:
  static std::string text_of(const scene::backend& one, std::uint64_t share) {
    const auto up =
        std::ranges::count(one.channels, conn_grpc::channel_state::connected, &conn_grpc::channel_status::state);
    return fmt::format("{} {}: {}/{} connected, {} %; ", one.name, to_string(one.process), up, one.channels.size(),
                       share);
  }

  call_history history_;
  int shown_ = 0;
};

}  // namespace

std::unique_ptr<view> plain_view() { return std::make_unique<plain>(); }

}  // namespace demo
