// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/lease_choice.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/fair_handover.hpp"
#include "runtime/if_none.hpp"
#include "runtime/member.hpp"
#include "runtime/parked_handler.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/result.hpp>
#include <conn_grpc/error.hpp>
#include <conn_grpc/lease.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace conn_grpc::runtime {

/// Picks the channel of each lease: one that is connected and has room for another lease,
/// or what the user's mock returns. A lease that finds none may wait here. Thread-safe.
/// @tparam Picker the channel_picker, which has the channels, the mock and the telemetry.
template <class Picker>
class lease_picker {
 public:
  using time_point = typename Picker::time_point;
  using result_type = boost::system::result<lease>;
  using parked_type = parked_handler<error_code, lease>;
  using ticket = waiting_place::ticket;

  /// @param picker owns this object.
  /// @param observer returns what the leases call. Called on the strand.
  /// @param leave_rest see channel_picker.
  lease_picker(const checked_pool_options& options, Picker& picker,
               std::function<std::weak_ptr<lease_observer>()> observer, const std::function<void()>& leave_rest)
      : options_(options),
        picker_(picker),
        observer_(std::move(observer)),
        waiters_({this}, leave_rest, {.waiters = options.max_waiters}) {
    ledger_->max_in_flight = options.max_in_flight;
    ledger_->suspect_after = options.suspect_after;
  }

  /// A connection that can be handed out. It is made once, since it has the counts. On the
  /// strand.
  [[nodiscard]] std::shared_ptr<const member> make_member(const std::shared_ptr<const channel_identity>& its,
                                                          std::uint64_t id, channel_ptr channel) const {
    return std::make_shared<const member>(its, id, std::move(channel), ledger_, observer_());
  }

  /// How many leases there are.
  [[nodiscard]] std::size_t in_flight() const noexcept { return ledger_->in_flight.load(std::memory_order_acquire); }

  /// The most leases that there were at the same time since the last call. A lease that
  /// begins during this call may be missing.
  [[nodiscard]] std::size_t take_peak() noexcept {
    return ledger_->peak.exchange(in_flight(), std::memory_order_relaxed);
  }

  /// True when there are connected channels, and each has as many leases as it may have.
  [[nodiscard]] bool is_full() const { return picker_.members().size() > 0 && !has_room(); }

  /// The number of addresses to which a channel is connected.
  [[nodiscard]] std::size_t served_addresses() const {
    std::unordered_set<std::string_view> addresses;
    picker_.members().for_each([&](const member& m) { addresses.insert(m.identity->address); });
    return addresses.size();
  }

  /// See `channel_picker::pick_observed`. Ends in `all_are_full()` when every connected
  /// channel has as many leases as it may have, and the pick does not wait.
  /// @param avoided not taken unless there is no other; nor is its address.
  template <if_none Then>
  [[nodiscard]] result_type pick(const member* avoided = nullptr) {
    if (Then == if_none::wait && waiters_.must_queue()) return would_block();
    const auto begin = picker_.probe().wants_gets() ? Picker::now() : time_point();
    auto leased = picker_.is_mocked() ? mocked(begin) : take(avoided);
    if (Then == if_none::wait && is_worth_waiting(leased)) return would_block();
    return report(std::move(leased), begin);
  }

  static error_code all_are_full() { return boost::asio::error::try_again; }

  /// The channel of a lease. Null when the user's mock returned it.
  [[nodiscard]] std::shared_ptr<const channel_identity> channel_of(const lease& leased) const {
    return picker_.is_mocked() ? nullptr : member_of(*leased.target()).identity;
  }

  /// See `channel_picker::wait_for_channel`.
  [[nodiscard]] bool wait(ticket mine, std::shared_ptr<parked_type> parked, time_point deadline) {
    const waiter joining{this, Picker::now(), std::move(parked)};
    if (const auto why = picker_.members().unavailable(); why == errc::stopped) {
      joining.complete(why);
      return false;
    }
    auto arrived = waiters_.join(mine, joining, deadline);
    if (arrived.answer) joining.complete(*std::move(arrived.answer));
    return arrived.expires_first;
  }

  // See channel_picker.
  [[nodiscard]] std::size_t waiting() const { return waiters_.waiting(); }
  void serve() noexcept { waiters_.serve(); }
  void cancel(ticket which) noexcept { waiters_.cancel(which); }
  bool deliver_slice() noexcept { return waiters_.deliver_slice(); }
  [[nodiscard]] bool delivering() { return waiters_.delivering(); }
  std::optional<time_point> expire(time_point now) noexcept { return waiters_.expire(now, errc::not_connected); }

 private:
  struct waiter {
    lease_picker* picker;
    time_point since;
    std::shared_ptr<parked_type> parked;

    void complete(result_type leased) const {
      auto reported = picker->report(std::move(leased), since);
      parked->complete(reported ? error_code() : reported.error(), reported ? *std::move(reported) : lease());
    }
  };

  struct policy {
    using answer_type = result_type;
    static constexpr bool all_alike = true;
    lease_picker* picker;

    std::optional<result_type> answer(const waiter&) noexcept {
      auto leased = picker->take(nullptr);
      if (picker->is_worth_waiting(leased)) return std::nullopt;
      return leased;
    }
    [[nodiscard]] bool has_answer(const waiter&) const {
      return picker->has_room() || picker->picker_.members().unavailable() != errc::not_connected ||
             !picker->picker_.may_connect();
    }
  };

  static error_code would_block() { return boost::asio::error::would_block; }

  [[nodiscard]] bool has_room() const {
    return picker_.members().any_of([](const member& m) { return m.has_room(); });
  }

  [[nodiscard]] bool is_worth_waiting(const result_type& leased) const {
    if (leased || picker_.is_mocked()) return false;
    return leased.error() == all_are_full() || (leased.error() == errc::not_connected && picker_.may_connect());
  }

  result_type take(const member* avoided) noexcept {
    if (avoided != nullptr) {
      const auto& address = avoided->identity->address;
      for (const bool same_address_too : {false, true}) {
        auto taken = take_if([&](const member& m) {
          return m.slot != avoided->slot && (same_address_too || m.identity->address != address) && m.take();
        });
        if (taken || taken.error() != all_are_full()) return taken;
      }
    }
    return take_if([](const member& m) { return m.take(); });
  }

  template <class Take>
  result_type take_if(Take take) noexcept {
    const auto load = [](const member& m) { return m.in_flight.load(std::memory_order_relaxed); };
    const auto are_alike = [](const member& a, const member& b) { return a.identity->address == b.identity->address; };
    auto picked = picker_.members().pick_chosen([&](const auto& now, std::uint64_t number) {
      return options_.picks_less_loaded ? core::less_loaded_of_two{load, are_alike}(now, number, take)
                                        : core::first_in_turn{}(now, number, take);
    });
    if (!picked) return picked.error();
    if (!picked->member) return all_are_full();
    return lease(std::move(picked->channel), *picked->member);
  }

  result_type mocked(time_point begin) {
    auto channel = picker_.mocked(begin);
    if (!channel) return channel.error();
    auto leased = std::make_shared<const member>(mock_identity_, 0, *std::move(channel), ledger_,
                                                 std::weak_ptr<lease_observer>());
    (void)leased->take();
    return lease(channel_ptr(leased, leased->channel.get()), *leased);
  }

  result_type report(result_type leased, time_point begin) {
    if (picker_.probe().wants_gets()) {
      const auto its = leased ? channel_of(*leased) : nullptr;
      picker_.probe().report_get(Picker::now() - begin, its.get(), leased ? std::string() : leased.error().message());
    }
    return leased;
  }

  const checked_pool_options& options_;
  Picker& picker_;
  const std::function<std::weak_ptr<lease_observer>()> observer_;
  const std::shared_ptr<lease_ledger> ledger_ = std::make_shared<lease_ledger>();
  const std::shared_ptr<const channel_identity> mock_identity_ = std::make_shared<const channel_identity>(
      channel_identity{.slot = 0, .name = options_.name, .address = options_.first_address()});
  fair_handover<waiter, policy, time_point> waiters_;
};

}  // namespace conn_grpc::runtime
