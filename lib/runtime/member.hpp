// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/connector.hpp"

#include <conn_grpc/detail/lease_target.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace conn_grpc::runtime {

/// The leases of a channel, over all of its connections. Thread-safe.
struct channel_load {
  std::atomic<std::size_t> in_flight{0};
  std::atomic<std::uint64_t> served{0};  // leases that have begun
};

/// The identity of a channel in its pool.
struct channel_identity {
  std::size_t slot;  // its place in the order of turns
  std::string name;  // in status, log and telemetry
  std::string address;
  std::shared_ptr<channel_load> load = std::make_shared<channel_load>();
};

struct member;

/// What leases call. Thread-safe.
class lease_observer {
 public:
  /// A lease has ended on a channel that had as many as it may have.
  virtual void channel_has_room() noexcept = 0;
  /// So many RPCs in a row have failed that the connection is suspect.
  virtual void connection_is_suspect(const member& suspected, std::string why) = 0;

 protected:
  ~lease_observer() = default;
};

/// What the leases of a pool share, and count. Leases may outlive the pool. Thread-safe.
struct lease_ledger {
  std::size_t max_in_flight = 0;  // of one connection; 0: any number
  std::size_t suspect_after = 0;  // failures in a row; 0: never
  std::atomic<std::size_t> in_flight{0};
  std::atomic<std::size_t> peak{0};  // the most that were in flight; see lease_picker::take_peak

  void count_lease() noexcept {
    const auto now = in_flight.fetch_add(1, std::memory_order_relaxed) + 1;
    auto highest = peak.load(std::memory_order_relaxed);
    while (now > highest && !peak.compare_exchange_weak(highest, now, std::memory_order_relaxed)) {
    }
  }
};

/// A connection that can be handed out. The pointer that is handed out shares the
/// ownership of it. Only its counts change.
struct member : detail::lease_target {
  member(std::shared_ptr<const channel_identity> its_identity, std::uint64_t its_id, channel_ptr its_channel,
         std::shared_ptr<lease_ledger> its_ledger, std::weak_ptr<lease_observer> its_observer)
      : lease_target{.channel = std::move(its_channel), .stubs = {}},
        slot(its_identity->slot),
        id(its_id),
        identity(std::move(its_identity)),
        ledger(std::move(its_ledger)),
        observer(std::move(its_observer)) {}

  /// Counts one more lease, unless there are as many as there may be.
  [[nodiscard]] bool take() const noexcept;
  [[nodiscard]] bool has_room() const noexcept {
    return ledger->max_in_flight == 0 || in_flight.load(std::memory_order_relaxed) < ledger->max_in_flight;
  }

  /// An RPC of a lease has succeeded, or failed for a reason of its own.
  void end_row_of_failures() const noexcept;
  /// An RPC of a lease has failed in a way that makes the connection suspect.
  void count_failure(const std::string& words) const noexcept;

  const std::size_t slot;
  const std::uint64_t id;  // of the connection; unique in its pool
  const std::shared_ptr<const channel_identity> identity;
  const std::shared_ptr<lease_ledger> ledger;
  const std::weak_ptr<lease_observer> observer;
  mutable std::atomic<std::size_t> in_flight{0};        // leases
  mutable std::atomic<std::size_t> failures_in_row{0};  // see lease::report
};

/// The member that a lease is of. Every target is one.
[[nodiscard]] inline const member& member_of(const detail::lease_target& target) noexcept {
  return static_cast<const member&>(target);  // NOLINT(cppcoreguidelines-pro-type-static-cast-downcast)
}

}  // namespace conn_grpc::runtime
