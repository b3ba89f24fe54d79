// SPDX-License-Identifier: BSL-1.0
// What a person sees of the demo. Knows how to show, not what happens.
#pragma once

#include <conn_grpc/status.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend.hpp"
#include "rpc_counts.hpp"

namespace demo {

/// One moment.
struct scene {
  struct backend {
    std::string name;
    std::string address;
    process_state process = process_state::down;
    rpc_counts rpcs{};
    std::string last_loss{};  ///< why the last connection was withdrawn
    std::vector<conn_grpc::channel_status> channels{};
  };

  std::string title;  ///< what the demo is doing, in a line
  std::size_t connected = 0;
  std::size_t expected = 0;
  std::uint64_t connections = 0;  ///< made so far
  rpc_counts rpcs{};
  std::vector<backend> backends{};
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
