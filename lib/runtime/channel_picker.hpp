// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/exception_text.hpp"
#include "core/member_set.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/fair_handover.hpp"
#include "runtime/if_none.hpp"
#include "runtime/lease_picker.hpp"
#include "runtime/member.hpp"
#include "runtime/parked_handler.hpp"
#include "runtime/pool_probe.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/result.hpp>
#include <conn_grpc/error.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace conn_grpc::runtime {

/// Picks the channel of each get: a connected one, or what the user's mock returns. A get
/// that finds no channel may wait here. Reports gets to telemetry when a handler is
/// attached. Its `leases()` do the same for leases. Thread-safe.
///
/// @tparam Probe benchmarks use another one, to measure the cost of telemetry.
template <class Clock, class Probe = pool_probe>
class channel_picker final {
 public:
  using time_point = typename Clock::time_point;
  using result_type = boost::system::result<channel_ptr>;
  using parked_get = parked_handler<error_code, channel_ptr>;
  using leases_type = lease_picker<channel_picker>;
  using parked_size = parked_handler<error_code>;
  using ticket = waiting_place::ticket;

  /// @param mock when it is set, it answers every get.
  /// @param observer see lease_picker.
  /// @param leave_rest called by a thread that has completed a slice of the waiters and
  /// leaves the rest. It must have `deliver_slice()` called until that returns false.
  channel_picker(const checked_pool_options& options, std::function<channel_ptr()> mock,
                 std::function<std::weak_ptr<lease_observer>()> observer, const std::function<void()>& leave_rest)
      : probe_(options),
        mock_(std::move(mock)),
        gets_({this}, leave_rest, {.waiters = options.max_waiters}),
        leases_(options, *this, std::move(observer), leave_rest),
        sizes_({this}, leave_rest) {}

  // For the actors.

  /// @param size how many channels there are to be.
  void expect(std::size_t size) noexcept {
    expected_size_.store(size, std::memory_order_relaxed);
    size_is_unknown_.store(false, std::memory_order_relaxed);
  }
  /// Gets and waits for a size may wait until `expect` is called.
  void expect_unknown_size() noexcept { size_is_unknown_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] std::size_t expected_size() const noexcept { return expected_size_.load(std::memory_order_relaxed); }

  void open() { members_.open(); }

  /// From now on this connection is picked, and no longer the previous one of its channel.
  /// @param published made by `leases().make_member`.
  void publish(const std::shared_ptr<const member>& published) { members_.insert(published); }

  /// Completes the waiters that can be answered now. Call it after `publish`.
  void serve_waiters() {
    gets_.serve();
    leases_.serve();
    sizes_.serve();
  }

  /// From now on this connection of the slot is not picked.
  void withdraw(std::size_t slot, std::uint64_t connection) noexcept { members_.erase(slot, connection); }
  /// The same, unless nothing else can be picked.
  void withdraw_unless_last(std::size_t slot, std::uint64_t connection) noexcept {
    members_.erase_unless_last(slot, connection);
  }

  /// True while this connection of the slot is picked.
  [[nodiscard]] bool hands_out(std::size_t slot, std::uint64_t connection) const {
    return members_.has(slot, connection);
  }

  [[nodiscard]] bool reclaim() { return members_.reclaim(); }

  /// From now on every get ends in errc::stopped, also a get that waits.
  void close() {
    members_.close();
    serve_waiters();
  }

  /// Completes a slice of the waiters that a thread has left. Called on the strand, or by
  /// another thread when the strand cannot do it.
  /// @return true when more are left.
  bool deliver_slice() noexcept {
    const bool more_gets = gets_.deliver_slice();
    const bool more_leases = leases_.deliver_slice();
    const bool more_sizes = sizes_.deliver_slice();
    return more_gets || more_leases || more_sizes;
  }

  /// True while waiters are being completed, or are still to be completed.
  [[nodiscard]] bool delivering() { return gets_.delivering() || leases_.delivering() || sizes_.delivering(); }

  /// Completes a slice of the waiters whose deadline has come, with errc::not_connected.
  /// @return the next deadline. It has already come when more of them are left.
  time_point expire(time_point now) {
    const auto never = (Clock::time_point::max)();
    const auto next_get = gets_.expire(now, errc::not_connected).value_or(never);
    const auto next_lease = leases_.expire(now).value_or(never);
    const auto next_size = sizes_.expire(now, errc::not_connected).value_or(never);
    return (std::min)({next_get, next_lease, next_size});
  }

  void report_size() { probe_.report_size(expected_size(), members_.size()); }

  /// How many gets and leases wait.
  [[nodiscard]] std::size_t waiting() const { return gets_.waiting() + leases_.waiting(); }

  [[nodiscard]] leases_type& leases() noexcept { return leases_; }
  [[nodiscard]] const leases_type& leases() const noexcept { return leases_; }

  // For leases.

  static time_point now() { return Clock::now(); }
  [[nodiscard]] core::member_set<member>& members() noexcept { return members_; }
  [[nodiscard]] const Probe& probe() const noexcept { return probe_; }
  [[nodiscard]] bool is_mocked() const noexcept { return static_cast<bool>(mock_); }
  /// What the mock returns. Throws what it throws.
  [[nodiscard]] result_type mocked(time_point begin) {
    try {
      auto channel = mock_();
      if (!channel) return make_error_code(errc::not_connected);
      return channel;
    } catch (...) {  // an exception ends the get, too
      if (probe_.wants_gets()) probe_.report_get(Clock::now() - begin, nullptr, core::current_exception_text());
      throw;
    }
  }
  /// True when there are to be channels.
  [[nodiscard]] bool may_connect() const { return expected_size() > 0 || size_is_unknown(); }

  // For callers. A mock answers at once, in every state of the actors.

  /// True when picking calls user code, which may destroy the pool.
  [[nodiscard]] bool is_observed() const noexcept { return mock_ || probe_.wants_gets(); }

  // Each way returns one object, so that g++ moves no result.
  template <if_none Then>
  [[nodiscard]] result_type pick() noexcept {
    if constexpr (Then == if_none::fail)
      return members_.pick();
    else
      return gets_.must_queue() ? result_type(would_block()) : pick_unless_none();
  }

  /// As `pick`, when `is_observed()`. Throws what `mock` throws. A get that has to wait
  /// is reported to telemetry when its waiting is over.
  template <if_none Then>
  [[nodiscard]] result_type pick_observed() {
    if (Then == if_none::wait && gets_.must_queue()) return would_block();
    const auto begin = Clock::now();
    auto picked = mock_ ? picked_by_mock(begin) : members_.pick_member();
    if (Then == if_none::wait && is_worth_waiting(picked)) return would_block();
    return report(std::move(picked), begin);
  }

  /// Success when there are that many channels. Null when the caller has to wait for them.
  [[nodiscard]] std::optional<error_code> size_unless_waiting(std::size_t needed) const {
    if (needed > expected_size() && !size_is_unknown()) return boost::asio::error::invalid_argument;
    if (mock_) return error_code();
    if (const auto state = members_.unavailable(); state != errc::not_connected) return state;
    if (members_.size() >= needed) return error_code();
    return std::nullopt;
  }

  /// For callers that wait. A later call returns a greater ticket.
  [[nodiscard]] ticket take_ticket() noexcept { return tickets_.fetch_add(1, std::memory_order_relaxed); }

  /// Completes with a channel once there is one. Completes with errc::not_connected at
  /// the deadline. Completes at once with another error of `pick()`, or with
  /// errc::too_many_waiters.
  /// @param parked waits here, with this ticket.
  /// @return true when `expire` must be called earlier than its last result.
  [[nodiscard]] bool wait_for_channel(ticket mine, std::shared_ptr<parked_get> parked, time_point deadline) {
    const get_waiter joining{this, Clock::now(), std::move(parked)};
    if (const auto why = members_.unavailable(); why == errc::stopped) {  // at once, not behind undelivered answers
      joining.complete(why);
      return false;
    }
    auto arrived = gets_.join(mine, joining, deadline);
    if (arrived.answer) joining.complete(*std::move(arrived.answer));
    return arrived.expires_first;
  }

  /// Completes with success once `needed` channels are connected, and with
  /// errc::not_connected at the deadline. Completes at once with errc::not_started or
  /// errc::stopped, or with invalid_argument when the pool never has that many channels.
  /// The rest is as in `wait_for_channel`.
  [[nodiscard]] bool wait_for_size(ticket mine, std::shared_ptr<parked_size> parked, std::size_t needed,
                                   time_point deadline) {
    const size_waiter joining{needed, std::move(parked)};
    const auto arrived = sizes_.join(mine, joining, deadline);
    if (arrived.answer) joining.complete(*arrived.answer);
    return arrived.expires_first;
  }

  void cancel(ticket which) {
    gets_.cancel(which);
    leases_.cancel(which);
    sizes_.cancel(which);
  }

 private:
  using picked_member = typename core::member_set<member>::picked;
  using member_result = boost::system::result<picked_member>;

  struct get_waiter {
    channel_picker* picker;
    time_point since;
    std::shared_ptr<parked_get> parked;

    void complete(member_result picked) const {
      auto channel = picker->report(std::move(picked), since);
      parked->complete(channel ? error_code() : channel.error(), channel ? *std::move(channel) : channel_ptr());
    }
  };

  struct size_waiter {
    std::size_t needed = 0;
    std::shared_ptr<parked_size> parked;

    void complete(error_code failed) const { parked->complete(failed); }
  };

  struct get_policy {
    using answer_type = member_result;
    static constexpr bool all_alike = true;
    channel_picker* picker;

    std::optional<member_result> answer(const get_waiter&) noexcept {
      auto picked = picker->members_.pick_member();
      if (picker->is_worth_waiting(picked)) return std::nullopt;
      return picked;
    }
    // As `answer`, but takes no turn.
    [[nodiscard]] bool has_answer(const get_waiter&) const {
      return picker->members_.size() > 0 || picker->members_.unavailable() != errc::not_connected ||
             !picker->may_connect();
    }
  };

  struct size_policy {
    using answer_type = error_code;
    static constexpr bool all_alike = false;
    channel_picker* picker;

    [[nodiscard]] std::optional<error_code> answer(const size_waiter& waiter) const noexcept {
      return picker->size_unless_waiting(waiter.needed);
    }
    [[nodiscard]] bool has_answer(const size_waiter& waiter) const noexcept { return answer(waiter).has_value(); }
  };

  result_type pick_unless_none() noexcept {
    auto picked = members_.pick();
    if (is_worth_waiting(picked)) picked = would_block();
    return picked;
  }

  static error_code would_block() { return boost::asio::error::would_block; }

  template <class Picked>
  [[nodiscard]] bool is_worth_waiting(const Picked& picked) const {
    return !picked && !mock_ && picked.error() == errc::not_connected && may_connect();
  }

  // Relaxed, as the size: after a change `serve_waiters` takes the mutex of the waiters.
  [[nodiscard]] bool size_is_unknown() const noexcept { return size_is_unknown_.load(std::memory_order_relaxed); }

  member_result picked_by_mock(time_point begin) {
    auto channel = mocked(begin);
    if (!channel) return channel.error();
    return picked_member{*std::move(channel), nullptr};
  }

  result_type report(member_result picked, time_point begin) {
    if (probe_.wants_gets())
      probe_.report_get(Clock::now() - begin, picked && picked->member ? picked->member->identity.get() : nullptr,
                        picked ? std::string() : picked.error().message());
    if (!picked) return picked.error();
    return std::move(picked->channel);
  }

  Probe probe_;
  const std::function<channel_ptr()> mock_;
  std::atomic<std::size_t> expected_size_{0};
  std::atomic<bool> size_is_unknown_{false};
  core::member_set<member> members_;
  std::atomic<ticket> tickets_{0};
  fair_handover<get_waiter, get_policy, time_point> gets_;
  leases_type leases_;
  fair_handover<size_waiter, size_policy, time_point> sizes_;
};

}  // namespace conn_grpc::runtime
