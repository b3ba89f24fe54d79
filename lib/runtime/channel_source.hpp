// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/rotation.hpp"
#include "core/thrown_text.hpp"
#include "runtime/parked_handler.hpp"
#include "runtime/pool_probe.hpp"
#include "runtime/waiting_room.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/result.hpp>
#include <conn_grpc/error.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace conn_grpc::runtime {

/// Answers gets: from the rotation, or by the user's mock. Reports them to telemetry when a handler is attached. A get
/// that cannot be answered yet may wait. Thread-safe, but for `add_slot`.
///
/// @tparam Probe another one for benchmarks, to see what telemetry costs.
template <class Clock, class Channel, class Probe = pool_probe>
class channel_source final {
 public:
  using time_point = typename Clock::time_point;
  using parked_get = parked_handler<error_code, Channel>;
  using parked_size = parked_handler<error_code>;
  using ticket = waiting_place::ticket;

  /// @param mock when it is set, every get is answered by it.
  /// @param leave_rest called by a thread that has completed a slice of the waiters: has `deliver_slice()` called
  /// until that returns false.
  channel_source(const group_settings& settings, std::function<Channel()> mock, const std::function<void()>& leave_rest)
      : probe_(settings),
        mock_(std::move(mock)),
        gets_({this}, leave_rest, {.waiters = settings.max_waiters}),
        sizes_({this}, leave_rest) {}

  /// Before anything else.
  void add_slot(std::string name) { names_.push_back(std::move(name)); }

  // The actors' side.

  void open() { rotation_.open(); }

  /// From now on the channel is handed out.
  void publish(std::size_t slot, Channel channel) { rotation_.insert(slot, std::move(channel)); }

  /// Completes waiters that can be answered now; after `publish`.
  void serve_waiters() {
    gets_.serve();
    sizes_.serve();
  }

  void withdraw(std::size_t slot) noexcept { rotation_.erase(slot); }

  /// Of this publication of a channel: each has an owner of its own.
  void withdraw(std::size_t slot, const Channel& published) noexcept {
    rotation_.erase_if(slot, [&](const Channel& member) {
      return !member.owner_before(published) && !published.owner_before(member);
    });
  }

  [[nodiscard]] bool reclaim() { return rotation_.reclaim(); }

  /// From now on every get ends in errc::stopped, waiting ones too.
  void close() {
    rotation_.close();
    serve_waiters();
  }

  /// Completes a slice of the waiters that a thread has left. On the strand, or where none is left.
  /// @return true when there are more.
  bool deliver_slice() noexcept {
    const bool more_gets = gets_.deliver_slice();
    const bool more_sizes = sizes_.deliver_slice();
    return more_gets || more_sizes;
  }

  /// True while waiters are being completed, or are left to be.
  [[nodiscard]] bool delivering() { return gets_.delivering() || sizes_.delivering(); }

  /// Ends the waiting of a slice of the waiters whose deadline has come, with errc::not_connected.
  /// @return the next deadline, which has come when there are more of them.
  time_point expire(time_point now) {
    const auto never = (Clock::time_point::max)();
    const auto next_get = gets_.expire(now, errc::not_connected).value_or(never);
    const auto next_size = sizes_.expire(now, errc::not_connected).value_or(never);
    return (std::min)(next_get, next_size);
  }

  void report_size() { probe_.has_size(names_.size(), rotation_.size()); }

  // The users' side. A mock answers at once, in every state of the actors.

  /// True when a get calls user code, which may destroy the pool.
  [[nodiscard]] bool observed() const noexcept { return mock_ || probe_.hears_gets(); }

  /// Throws what `mock` throws.
  /// @param observed by user code, from beginning to end: then the caller keeps the source alive.
  [[nodiscard]] boost::system::result<Channel> next(bool observed) {
    return observed ? next_observed() : rotation_.next();
  }

  /// The same for callers that may wait: asio::error::would_block instead of errc::not_connected, and when others wait
  /// already. It is reported to telemetry when the waiting is over.
  [[nodiscard]] boost::system::result<Channel> next_unless_waiting(bool observed) {
    if (gets_.anyone()) return error_code(boost::asio::error::would_block);
    if (observed) return next_observed_unless_waiting();
    auto found = rotation_.next();
    if (is_worth_waiting(found)) found = error_code(boost::asio::error::would_block);
    return found;
  }

  /// Success when there are that many channels. Null when the caller has to wait for them.
  [[nodiscard]] std::optional<error_code> size_unless_waiting(std::size_t needed) const {
    if (needed > names_.size()) return boost::asio::error::invalid_argument;
    if (mock_) return error_code();
    if (const auto state = rotation_.unavailable(); state != errc::not_connected) return state;
    if (rotation_.size() >= needed) return error_code();
    return std::nullopt;
  }

  /// For callers that wait. Tickets of later calls are greater.
  [[nodiscard]] ticket take_ticket() noexcept { return tickets_.fetch_add(1, std::memory_order_relaxed); }

  /// Completes with a channel once there is one; at the deadline with errc::not_connected; at once with another error
  /// of `next()`, or errc::too_many_waiters.
  /// @param parked waits here, with this ticket.
  /// @return true when `expire` must be called earlier than it said.
  [[nodiscard]] bool wait_for_channel(ticket mine, std::shared_ptr<parked_get> parked, time_point deadline) {
    const get_waiter joining{this, Clock::now(), std::move(parked)};
    if (const auto why = rotation_.unavailable(); why == errc::stopped) {  // not behind undelivered answers
      joining.complete(why);
      return false;
    }
    auto arrived = gets_.join(mine, joining, deadline);
    if (arrived.answer) joining.complete(*std::move(arrived.answer));
    return arrived.expires_first;
  }

  /// Completes with success once `needed` channels are connected; at the deadline with errc::not_connected; at once
  /// with errc::not_started or stopped, or invalid_argument when there never are that many. As `wait_for_channel`.
  [[nodiscard]] bool wait_for_size(ticket mine, std::shared_ptr<parked_size> parked, std::size_t needed,
                                   time_point deadline) {
    const size_waiter joining{needed, std::move(parked)};
    const auto arrived = sizes_.join(mine, joining, deadline);
    if (arrived.answer) joining.complete(*arrived.answer);
    return arrived.expires_first;
  }

  void cancel(ticket which) {
    gets_.cancel(which);
    sizes_.cancel(which);
  }

 private:
  using found_channel = boost::system::result<std::pair<std::size_t, Channel>>;  // with its slot

  struct get_waiter {
    channel_source* source;
    time_point since;
    std::shared_ptr<parked_get> parked;

    void complete(found_channel found) const {
      auto channel = source->report(std::move(found), since);
      parked->complete(channel ? error_code() : channel.error(), channel ? *std::move(channel) : Channel());
    }
  };

  struct size_waiter {
    std::size_t needed;
    std::shared_ptr<parked_size> parked;

    void complete(error_code failed) const { parked->complete(failed); }
  };

  struct get_policy {
    using answer_type = found_channel;
    static constexpr bool all_alike = true;
    channel_source* source;

    std::optional<found_channel> answer(const get_waiter&) noexcept {
      auto found = source->rotation_.next_with_slot();
      if (source->is_worth_waiting(found)) return std::nullopt;
      return found;
    }
    // Takes no turn.
    bool has_answer(const get_waiter&) const {
      return source->rotation_.size() > 0 || source->rotation_.unavailable() != errc::not_connected;
    }
  };

  struct size_policy {
    using answer_type = error_code;
    static constexpr bool all_alike = false;
    channel_source* source;

    std::optional<error_code> answer(const size_waiter& waiter) const noexcept {
      return source->size_unless_waiting(waiter.needed);
    }
    bool has_answer(const size_waiter& waiter) const noexcept { return answer(waiter).has_value(); }
  };

  // Functions of their own, so that a get without telemetry keeps no registers for them.
  [[gnu::noinline]] boost::system::result<Channel> next_observed() {
    const auto begin = Clock::now();
    return report(find(begin), begin);
  }
  [[gnu::noinline]] boost::system::result<Channel> next_observed_unless_waiting() {
    const auto begin = Clock::now();
    auto found = find(begin);
    if (is_worth_waiting(found)) return error_code(boost::asio::error::would_block);
    return report(std::move(found), begin);
  }

  found_channel find(time_point begin) {
    if (!mock_) return rotation_.next_with_slot();
    try {
      auto channel = mock_();
      if (!channel) return make_error_code(errc::not_connected);
      return std::pair(names_.size(), std::move(channel));
    } catch (...) {  // ends the get, too
      if (probe_.hears_gets()) probe_.got(Clock::now() - begin, {}, core::thrown_text());
      throw;
    }
  }

  template <class Found>
  [[nodiscard]] bool is_worth_waiting(const Found& found) const {
    return !found && found.error() == errc::not_connected && !mock_ && !names_.empty();
  }

  boost::system::result<Channel> report(found_channel found, time_point begin) {
    if (probe_.hears_gets())
      probe_.got(Clock::now() - begin, name_of(found), found ? std::string() : found.error().message());
    if (!found) return found.error();
    return std::move(found->second);
  }

  // Empty when nothing was found, and for what came from no slot.
  std::string_view name_of(const found_channel& found) const {
    return found && found->first < names_.size() ? std::string_view(names_[found->first]) : std::string_view();
  }

  Probe probe_;
  std::function<Channel()> mock_;
  std::vector<std::string> names_;  // by slot
  core::rotation<Channel> rotation_;
  std::atomic<ticket> tickets_{0};
  waiting_room<get_waiter, get_policy, time_point> gets_;
  waiting_room<size_waiter, size_policy, time_point> sizes_;
};

}  // namespace conn_grpc::runtime
