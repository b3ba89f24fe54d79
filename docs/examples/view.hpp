// SPDX-License-Identifier: BSL-1.0
// What a person sees of the demo. Knows how to show, not what happens.
#pragma once

#include <conn_grpc/status.hpp>

#include <memory>
#include <string>

#include "greeting_service.hpp"

namespace demo {

/// One moment.
struct scene {
  std::string title;  ///< what the demo is doing, in a line
  conn_grpc::pool_status pool;
  call_counts calls;
};

class view {
 public:
  view() = default;
  virtual ~view() = default;
  view(const view&) = delete;
  view& operator=(const view&) = delete;

  /// Ten times a second.
  virtual void show(const scene& moment) = 0;

  /// Each time the title changes.
  virtual void turn_to(const scene& moment) = 0;
};

/// Is stdout a terminal that can be drawn on?
[[nodiscard]] bool on_terminal();

/// Redraws the terminal in place; leaves it as it was, with a list of what happened, when it goes.
[[nodiscard]] std::unique_ptr<view> live_view();

/// A line for each happening, and one with the counts each second.
[[nodiscard]] std::unique_ptr<view> plain_view();

}  // namespace demo
