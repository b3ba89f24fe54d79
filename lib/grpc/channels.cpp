// SPDX-License-Identifier: BSL-1.0
#include "grpc/channels.hpp"

#include <conn_grpc/detail/run.hpp>

#include "core/checks.hpp"
#include "grpc/settings.hpp"

#include <boost/asio/execution/context.hpp>
#include <boost/asio/query.hpp>
#if __has_include(<boost/asio/config.hpp>)
#include <boost/asio/config.hpp>
#else
#include <boost/asio/detail/concurrency_hint.hpp>
#include <boost/asio/detail/scheduler.hpp>
#endif

#include <cstddef>
#include <utility>

namespace conn_grpc::detail {
namespace {

// Far above what one process has sockets for: a slip, which would take the memory of the machine.
constexpr std::size_t most_channels = 100'000;

/// False for a context without locks, BOOST_ASIO_CONCURRENCY_HINT_UNSAFE: gRPC's thread posts to it, and the wake-up
/// would be lost. Asio's resolver, which has a thread of its own as well, fails there with operation_not_supported.
bool locks(asio::execution_context& context) {
#if __has_include(<boost/asio/config.hpp>)
  return asio::config(context).get("scheduler", "locking", true);
#else
  using asio::detail::scheduler;
  return !asio::has_service<scheduler>(context) ||
         BOOST_ASIO_CONCURRENCY_HINT_IS_LOCKING(SCHEDULER, asio::use_service<scheduler>(context).concurrency_hint());
#endif
}

void check_executor(const asio::any_io_executor& executor) {
  core::check(static_cast<bool>(executor), "executor", "must not be empty");
  core::check(locks(asio::query(executor, asio::execution::context)), "executor",
              "its context has no locks (BOOST_ASIO_CONCURRENCY_HINT_UNSAFE), but gRPC's thread posts to it");
}

runtime::group_settings common_settings(const channel_options& options, const runtime::channel_settings& checked,
                                        std::string name, std::string type_key) {
  return {
      .name = std::move(name),
      .type_key = std::move(type_key),
      .address = options.address,
      .label = {},
      .status_interval = {},
      .max_waiters = 0,
      .max_restarts = options.max_restarts,
      .restart_window = options.restart_window,
      .telemetry = checked.telemetry,
      .logger = checked.logger,
  };
}

}  // namespace

std::shared_ptr<channels> make_channels(const asio::any_io_executor& executor, const pool_options& options,
                                        std::string type_key) {
  check_executor(executor);
  core::check_positive("status_interval", options.status_interval);
  core::check(options.pool_size <= most_channels, "pool_size", "must not be above " + std::to_string(most_channels));
  const auto each = checked_settings(options.channel, "channel.", options.name);
  auto whole = common_settings(options.channel, *each, options.name, std::move(type_key));
  whole.label = "pool " + (options.name.empty() ? "of " + options.channel.address : options.name);
  whole.status_interval = options.status_interval;
  whole.max_waiters = options.max_waiters;

  auto made = std::make_shared<channels>(executor, std::move(whole), options.channel.mock);
  const auto connector = std::make_shared<const grpc_connector>(options.channel);
  for (std::size_t index = 0; index < options.pool_size; ++index)
    made->add(each, options.name + "/" + std::to_string(index), connector);
  return made;
}

std::shared_ptr<channels> make_channels(const asio::any_io_executor& executor, const channel_options& options,
                                        std::string type_key) {
  check_executor(executor);
  auto settings = checked_settings(options, {}, {});
  auto whole = common_settings(options, *settings, options.name, std::move(type_key));
  whole.label = "channel " + (options.name.empty() ? "to " + options.address : options.name);

  auto made = std::make_shared<channels>(executor, std::move(whole), options.mock);
  made->add(std::move(settings), options.name, std::make_shared<const grpc_connector>(options));
  return made;
}

}  // namespace conn_grpc::detail
