// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/rotation.hpp"
#include "runtime/pool_probe.hpp"

#include <boost/system/result.hpp>
#include <conn_grpc/error.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace conn_grpc::runtime {

/// Where gets are answered: by the rotation, unless the user mocks it, and before the eyes of telemetry, if it looks.
template <class Clock, class Channel>
class channel_source {
 public:
  /// @param mock when it is set, every get is answered by it.
  channel_source(const group_settings& settings, std::function<Channel()> mock)
      : probe_(settings), mock_(std::move(mock)) {}

  /// Before the first `next()`.
  void add_slot(std::string name) { names_.push_back(std::move(name)); }

  [[nodiscard]] core::rotation<Channel>& rotation() { return rotation_; }

  /// Does user code take part in a get?
  [[nodiscard]] bool observed() const noexcept { return mock_ || probe_.hears_gets(); }

  /// Thread-safe. Throws what `mock` throws.
  boost::system::result<Channel> next_observed() {
    const auto begin = Clock::now();
    auto found = mock_ ? next_mocked() : rotation_.next_with_slot();
    if (probe_.hears_gets()) probe_.got(Clock::now() - begin, name_of(found), found.error());
    if (!found) return found.error();
    return std::move(found->second);
  }

  void report_size() { probe_.has_size(names_.size(), rotation_.size()); }

 private:
  using slot_and_channel = std::pair<std::size_t, Channel>;

  boost::system::result<slot_and_channel> next_mocked() const {
    auto channel = mock_();
    if (!channel) return make_error_code(errc::not_connected);
    return slot_and_channel(names_.size(), std::move(channel));
  }

  // Empty when nothing was found, and for what came from no slot.
  std::string_view name_of(const boost::system::result<slot_and_channel>& found) const {
    return found && found->first < names_.size() ? std::string_view(names_[found->first]) : std::string_view();
  }

  pool_probe probe_;
  std::function<Channel()> mock_;
  std::vector<std::string> names_;  // by slot
  core::rotation<Channel> rotation_;
};

}  // namespace conn_grpc::runtime
