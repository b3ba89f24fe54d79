// SPDX-License-Identifier: BSL-1.0
#include "grpc/call_monitor.hpp"

#include "grpc/call_into_grpc.hpp"
#include "grpc/completion_thread.hpp"
#include "grpc/failure_reason.hpp"
#include "grpc/health_watch.hpp"
#include "grpc/watched_channel.hpp"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/client_interceptor.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

namespace conn_grpc::detail {
namespace {

// The RPC that this thread is starting. gRPC may run callbacks inside of the start, and
// these may start RPCs of their own.
struct starting_call;
constinit thread_local const starting_call* this_thread_starts = nullptr;

struct starting_call {
  starting_call(const ::grpc::ClientContext& its_context, std::shared_ptr<call_monitor>& its_monitor)
      : context(its_context), monitor(its_monitor), outer(std::exchange(this_thread_starts, this)) {}
  ~starting_call() { this_thread_starts = outer; }
  starting_call(const starting_call&) = delete;
  starting_call& operator=(const starting_call&) = delete;

  const ::grpc::ClientContext& context;
  std::shared_ptr<call_monitor>& monitor;
  const starting_call* const outer;
};

}  // namespace

// gRPC calls it at the start of each RPC of its channel. It intercepts nothing, so the
// RPC costs nothing more.
class monitor_announcer final : public ::grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit monitor_announcer(std::shared_ptr<call_monitor> monitor) : monitor_(std::move(monitor)) {}

  ::grpc::experimental::Interceptor* CreateClientInterceptor(::grpc::experimental::ClientRpcInfo* rpc) override {
    const auto* const starts = this_thread_starts;
    if (starts && &starts->context == rpc->client_context()) {
      starts->monitor = monitor_;
      monitor_->in_flight_.fetch_add(1, std::memory_order_relaxed);
      monitor_->calls_of_pool_->fetch_add(1, std::memory_order_relaxed);
    }
    if (!is_of_library(*rpc)) monitor_->keep_callback_threads();
    return nullptr;
  }

 private:
  /// True for RPCs of the library's own, which use no callback threads. A user may watch the
  /// health, too, but then not as a stream in both directions.
  static bool is_of_library(const ::grpc::experimental::ClientRpcInfo& rpc) {
    const std::string_view method = rpc.method();
    return method == method_that_asks_for_reason ||
           (method == method_that_asks_for_health &&
            rpc.type() == ::grpc::experimental::ClientRpcInfo::Type::BIDI_STREAMING);
  }

  const std::shared_ptr<call_monitor> monitor_;
};

bool names_lost_connection(const ::grpc::Status& status) {
  // gRPC 1.51 says "keepalive watchdog timeout", and 1.83 says "ping timeout".
  constexpr std::array<std::string_view, 9> words{
      "Socket closed",        "Connection reset by peer", "Broken pipe",
      "Connection timed out", "Too many pings",           "keepalive watchdog timeout",
      "ping timeout",         "Transport closed",         "GOAWAY received",
  };
  if (status.error_code() != ::grpc::StatusCode::UNAVAILABLE) return false;
  const auto& text = status.error_message();
  return std::ranges::any_of(words, [&](std::string_view w) { return text.find(w) != std::string::npos; });
}

void call_monitor::start_call(const ::grpc::ClientContext& context, std::shared_ptr<call_monitor>& monitor,
                              const std::function<void()>& start) {
  const starting_call call(context, monitor);
  const call_into_grpc calls;
  start();
}

void call_monitor::keep_callback_threads() {
  if (keeps_callback_threads_.load(std::memory_order_relaxed)) return;
  keeps_callback_threads_.store(true, std::memory_order_relaxed);
  if (const auto session = session_.lock()) session->keep_callback_threads();
}

std::shared_ptr<watched_channel> call_monitor::call_ended(const ::grpc::Status& status) {
  auto connection = status.ok() ? call_succeeded() : call_failed(status);
  // Last, because a loss is judged by the reason once no RPC is in flight.
  in_flight_.fetch_sub(1, std::memory_order_relaxed);
  return connection;
}

void call_monitor::call_completed() { calls_of_pool_->fetch_sub(1, std::memory_order_release); }

std::shared_ptr<watched_channel> call_monitor::call_succeeded() {
  if (!has_served_.load(std::memory_order_relaxed)) has_served_.store(true, std::memory_order_relaxed);
  return nullptr;
}

std::shared_ptr<watched_channel> call_monitor::call_failed(const ::grpc::Status& status) {
  bool names_loss = names_lost_connection(status);
  std::shared_ptr<watched_channel> connection;
  {
    const std::lock_guard lock(mutex_);
    connection = connection_.lock();
    names_loss = names_loss && !was_misled_;
    if (names_loss && reason_.empty()) reason_ = status.error_message();
  }
  if (connection && status.error_code() == ::grpc::StatusCode::UNAVAILABLE) connection->call_was_unavailable();
  if (!connection || connection->notice_loss() || !names_loss) return nullptr;
  return connection;
}

void call_monitor::follow(std::weak_ptr<watched_channel> connection) {
  const std::lock_guard lock(mutex_);
  connection_ = std::move(connection);
  has_served_.store(false, std::memory_order_relaxed);
  was_misled_ = false;
  reason_.clear();
}

void call_monitor::dismiss_reason() {
  const std::lock_guard lock(mutex_);
  was_misled_ = true;
  reason_.clear();
}

bool call_monitor::may_know_more() const {
  const std::lock_guard lock(mutex_);
  return reason_.empty() && in_flight_.load(std::memory_order_relaxed) > 0;
}

runtime::connection_loss call_monitor::loss() const {
  using runtime::loss_kind;
  const std::lock_guard lock(mutex_);
  if (!reason_.empty()) return {.reason = reason_, .kind = loss_kind::broken};
  if (const auto calls = in_flight_.load(std::memory_order_relaxed); calls > 0)
    return {.reason = "closed by the peer; RPCs in flight: " + std::to_string(calls) +
                      ", which go on if it announced that (GOAWAY)",
            .kind = loss_kind::orderly};
  const bool served = has_served_.load(std::memory_order_relaxed);
  return {.reason = "closed by the peer, no RPC in flight", .kind = served ? loss_kind::orderly : loss_kind::unknown};
}

monitored_channel create_monitored_channel(const std::shared_ptr<grpc_session>& session, const std::string& address,
                                           const std::shared_ptr<::grpc::ChannelCredentials>& credentials,
                                           const ::grpc::ChannelArguments& arguments,
                                           const std::shared_ptr<call_count>& calls_of_pool) {
  auto monitor = std::make_shared<call_monitor>(session, calls_of_pool);
  std::vector<std::unique_ptr<::grpc::experimental::ClientInterceptorFactoryInterface>> announcers;
  announcers.push_back(std::make_unique<monitor_announcer>(monitor));
  auto channel =
      ::grpc::experimental::CreateCustomChannelWithInterceptors(address, credentials, arguments, std::move(announcers));
  return {.channel = std::move(channel), .monitor = std::move(monitor)};
}

}  // namespace conn_grpc::detail
