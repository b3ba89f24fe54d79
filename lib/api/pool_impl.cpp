// SPDX-License-Identifier: BSL-1.0
#include "api/pool_impl.hpp"

#include <conn_grpc/detail/run.hpp>

#include "api/checked_options.hpp"
#include "core/option_checks.hpp"
#include "core/target.hpp"
#include "grpc/grpc_connector.hpp"
#include "runtime/context_locks.hpp"
#include "runtime/log_line.hpp"

#include <boost/asio/execution/context.hpp>
#include <boost/asio/query.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace conn_grpc::detail {
namespace {

void check_executor(const asio::any_io_executor& executor) {
  core::check(static_cast<bool>(executor), "executor", "must not be empty");
  core::check(runtime::locks(asio::query(executor, asio::execution::context)), "executor",
              "its context has no locks (BOOST_ASIO_CONCURRENCY_HINT_UNSAFE), but gRPC's thread posts to it");
}

void warn_of_pings(const runtime::checked_pool_options& valid, const grpc::ChannelArguments& arguments) {
  if (pings_too_often(arguments))
    runtime::log_line(valid.logger.get(), spdlog::level::warn,
                      "conn_grpc " + valid.label +
                          ": a server with gRPC's default settings ends connections that send keepalive pings as often "
                          "as the arguments ask for (too_many_pings)");
}

/// The name that servers and their certificates have. Empty when it is that of the
/// address to which a channel connects.
std::string authority_of(const runtime::checked_pool_options& options) {
  const auto name = options.resolve ? core::host_port_of(options.address) : std::nullopt;
  return name ? name->authority : std::string();
}

}  // namespace

std::shared_ptr<pool_impl> make_pool_impl(const asio::any_io_executor& executor, const pool_options& options,
                                          std::string type_key) {
  check_executor(executor);
  auto valid = checked(options, std::move(type_key));  // before the connector is made of the options
  warn_of_pings(*valid, options.channel.arguments);
  auto connects = std::make_shared<const grpc_connector>(options.channel, authority_of(*valid));
  return std::make_shared<pool_impl>(executor, std::move(valid), std::move(connects), options.channel.mock);
}

std::shared_ptr<pool_impl> make_pool_impl(const asio::any_io_executor& executor, const channel_options& options,
                                          std::string type_key) {
  check_executor(executor);
  auto valid = checked(options, std::move(type_key));
  warn_of_pings(*valid, options.arguments);
  return std::make_shared<pool_impl>(executor, std::move(valid), std::make_shared<const grpc_connector>(options),
                                     options.mock);
}

}  // namespace conn_grpc::detail
