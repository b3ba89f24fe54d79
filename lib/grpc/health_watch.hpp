// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/backoff.hpp>
#include <conn_grpc/options.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace grpc {
class Alarm;
}

namespace conn_grpc::detail {

/// The method of the RPC that asks for the health.
inline constexpr const char* method_that_asks_for_health = "/grpc.health.v1.Health/Watch";

/// Watches the health of one connection with an RPC over that connection:
/// grpc.health.v1.Health/Watch. The watch ends when the connection is lost, when the server
/// has no health service, or at `cancel()`. Until then it makes an RPC that has ended again.
///
/// A pending completion keeps the watch alive. An RPC in flight keeps the channel alive, and
/// ends soon after `cancel()`.
class health_watch final : public std::enable_shared_from_this<health_watch> {
 public:
  /// @param why the reason why the server does not serve. Empty when it serves.
  using observer = std::function<void(std::string why)>;

  /// @param changed the completion thread calls it for each answer, and when an RPC has
  /// ended while the connection is up.
  health_watch(std::weak_ptr<::grpc::Channel> channel, std::string service, observer changed)
      : channel_(std::move(channel)), service_(std::move(service)), changed_(std::move(changed)) {}

  /// Call it once, on the completion thread.
  void start() { ask(); }

  /// Ends the watch. Thread-safe. A call of the observer may still be under way.
  void cancel() noexcept;

 private:
  struct call;
  class step;
  using next_step = void (health_watch::*)(bool ok);

  template <class Start>
  void then(next_step next, Start start);

  void ask();
  void started(bool ok);
  void requested(bool ok);
  void read();
  void answered(bool ok);
  void finish();
  void ended(bool ok);
  void fail_unless_lost(bool ok);
  void ask_later();
  void waited(bool ok);
  [[nodiscard]] std::string not_serving(const std::string& because = {}) const;
  [[nodiscard]] std::chrono::milliseconds next_delay(const call& ended);

  const std::weak_ptr<::grpc::Channel> channel_;
  const std::string service_;
  const observer changed_;
  std::atomic<bool> cancelled_{false};

  // On the completion thread.
  std::unique_ptr<conn_grpc::backoff> backoff_;  // null until an RPC has ended
  std::string failure_;                          // why the last RPC has ended
  std::chrono::milliseconds delay_{0};           // before the next RPC

  std::mutex mutex_;
  std::shared_ptr<call> call_;           // while an RPC is in flight
  std::shared_ptr<::grpc::Alarm> wait_;  // between two RPCs
};

}  // namespace conn_grpc::detail
