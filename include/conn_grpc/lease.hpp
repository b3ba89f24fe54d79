// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// Leases: channels that a pool counts while they are in use.

#include <conn_grpc/detail/channel_ptr.hpp>
#include <conn_grpc/detail/config.hpp>
#include <conn_grpc/detail/lease_target.hpp>

#include <string>
#include <utility>

namespace grpc {
class Status;
}

namespace conn_grpc {

/// @cond
namespace detail {
CONN_GRPC_API void end_lease(const lease_target& target) noexcept;
CONN_GRPC_API void report_to(const lease_target& target, const grpc::Status& status);
CONN_GRPC_API const std::string& address_of(const lease_target& target) noexcept;
}  // namespace detail
/// @endcond

/// A channel of a pool, counted as in use until the lease is destroyed.
///
/// The pool uses the count to limit the leases of a channel (`pool_options::max_in_flight`),
/// and to choose a less loaded channel (`pool_options::pick`). `pool::drain` waits for all
/// leases. Use one lease for one RPC, or for one stream.
///
/// A default-constructed lease is empty, and so is a lease that was moved from.
///
/// *Thread safety*: Different threads may use different leases. Any thread may destroy a
/// lease, also after its pool and execution context have been destroyed. The destructor may
/// complete the next operation that waits for a lease, by a post to its executor.
class lease {
 public:
  lease() noexcept = default;
  /// Leaves `other` empty.
  lease(lease&& other) noexcept : channel_(std::move(other.channel_)), target_(std::exchange(other.target_, nullptr)) {}
  /// Ends the lease that this object had. Leaves `other` empty.
  lease& operator=(lease&& other) noexcept {
    lease taken(std::move(other));
    std::swap(channel_, taken.channel_);
    std::swap(target_, taken.target_);
    return *this;
  }
  /// Ends the lease.
  ~lease() {
    if (target_ != nullptr) detail::end_lease(*target_);
  }
  lease(const lease&) = delete;
  lease& operator=(const lease&) = delete;

  /// Returns true unless the lease is empty.
  [[nodiscard]] explicit operator bool() const noexcept { return target_ != nullptr; }

  /// Returns the gRPC channel. Null for an empty lease.
  ///
  /// *Lifetime*: A copy of the pointer stays valid after the lease has been destroyed, but
  /// is not counted any more.
  [[nodiscard]] const channel_ptr& channel() const noexcept { return channel_; }

  /// Returns the gRPC target to which the channel connects. The lease must not be empty.
  [[nodiscard]] const std::string& address() const noexcept { return detail::address_of(*target_); }

  /// Returns the stub of a generated service on this channel: `leased.stub<Greeter>()`. It
  /// is made once per connection. The lease must not be empty.
  ///
  /// *Thread safety*: Any thread may use the stub.
  ///
  /// *Lifetime*: The reference is valid until the lease is destroyed.
  template <class Service>
  [[nodiscard]] typename Service::Stub& stub() const {
    return target_->stubs.get<Service>(target_->channel);
  }

  /// Reports the status of an RPC that was made with this lease. After
  /// `pool_options::suspect_after` failures in a row on a connection, the pool replaces
  /// that connection, as `pool::suspect` does. A failure is DEADLINE_EXCEEDED or
  /// UNAVAILABLE. Any other status ends the row. The lease must not be empty.
  ///
  /// *Thread safety*: Any thread may call this function.
  void report(const grpc::Status& status) const { detail::report_to(*target_, status); }

  /// @cond
  /// Takes over one count of the target. `channel` shares the ownership of the target.
  lease(channel_ptr channel, const detail::lease_target& target) noexcept
      : channel_(std::move(channel)), target_(&target) {}
  [[nodiscard]] const detail::lease_target* target() const noexcept { return target_; }
  /// @endcond

 private:
  channel_ptr channel_;  // shares the ownership of the target
  const detail::lease_target* target_ = nullptr;
};

}  // namespace conn_grpc
