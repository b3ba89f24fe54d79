// SPDX-License-Identifier: BSL-1.0
#include "api/checked_options.hpp"

#include "core/option_checks.hpp"
#include "core/target.hpp"
#include "grpc/grpc_connector.hpp"
#include "runtime/resolver.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace conn_grpc::detail {
namespace {

using runtime::most_channels;

/// @param prefix of the names of the fields: "" or "channel.".
runtime::checked_pool_options checked_channel(const channel_options& options, const std::string& prefix,
                                              std::string name, std::string type_key) {
  core::check_range(prefix + "backoff", options.backoff);
  core::check_positive(prefix + "connect_timeout", options.connect_timeout);
  core::check_positive(prefix + "stable_after", options.stable_after);
  core::check_positive(prefix + "restart_window", options.restart_window);
  core::check_not_negative(prefix + "max_connection_age", options.max_connection_age);

  runtime::checked_pool_options all{
      .name = std::move(name),
      .type_key = std::move(type_key),
      .label = {},
      .address = options.address,
      .status_interval = {},
      .max_restarts = options.max_restarts,
      .restart_window = options.restart_window,
      .backoff = options.backoff,
      .make_backoff = options.make_backoff,
      .attempt_limit = attempt_limit(options.connect_timeout),
      .stable_after = options.stable_after,
      .max_connection_age = options.max_connection_age,
      .prime = options.prime ? std::make_shared<const runtime::prime_function>(options.prime) : nullptr,
      .on_connect = options.on_connect,
      .on_disconnect = options.on_disconnect,
      .telemetry = options.telemetry ? options.telemetry : telemetry::global(),
      .logger = options.logger ? options.logger : spdlog::default_logger(),
      .debug = options.debug,
      .has_own_targets = static_cast<bool>(options.create_channel),
  };
  if (!all.make_backoff) all.make_backoff = [](backoff_range range) { return exponential_backoff(range); };
  return all;
}

void check_address(const std::string& field, const std::string& address, bool has_own_targets) {
  core::check_not_empty(field, address);
  if (!has_own_targets) core::check_target(field, address);
}

/// The pool resolves `channel.address` itself.
void set_resolver(const pool_options& options, runtime::checked_pool_options& to) {
  constexpr std::string_view field = "channel.address";
  constexpr std::chrono::milliseconds longest = std::chrono::years(100);  // fits into a time_point of nanoseconds
  core::check(options.addresses.empty(), "resolve_interval", "addresses must be empty then");
  core::check_target(field, options.channel.address);
  auto name = core::host_port_of(options.channel.address);
  if (!name)
    core::reject(field,
                 "with resolve_interval it must be host:port or dns:///host:port, is " + options.channel.address);
  to.resolve_interval = (std::min)(options.resolve_interval, longest);
  to.resolve = runtime::system_resolver(std::move(name->host), name->port);
}

}  // namespace

void check_addresses(const std::vector<std::string>& addresses, const runtime::checked_pool_options& of) {
  for (std::size_t i = 0; i < addresses.size(); ++i)
    check_address("addresses[" + std::to_string(i) + "]", addresses[i], of.has_own_targets);
  core::check(of.largest_size() == 0 || addresses.size() <= most_channels / of.largest_size(), "addresses",
              "must not have more than " + std::to_string(most_channels) + " channels");
}

std::shared_ptr<const runtime::checked_pool_options> checked(const pool_options& options, std::string type_key) {
  core::check_positive("status_interval", options.status_interval);
  core::check(options.pool_size <= most_channels, "pool_size", "must not be above " + std::to_string(most_channels));
  core::check(options.max_size <= most_channels, "max_size", "must not be above " + std::to_string(most_channels));
  auto all = checked_channel(options.channel, "channel.", options.name, std::move(type_key));
  all.pool_size = options.pool_size;
  core::check(options.max_size == 0 || options.max_size >= options.pool_size, "max_size",
              "must not be below pool_size");
  core::check(options.max_size <= options.pool_size || options.max_in_flight > 0, "max_size",
              "needs max_in_flight, which says when a channel is full");
  all.max_size = options.max_size;
  if (options.addresses.empty()) check_address("channel.address", options.channel.address, all.has_own_targets);
  check_addresses(options.addresses, all);
  core::check_not_negative("resolve_interval", options.resolve_interval);
  if (options.resolve_interval.count() > 0) set_resolver(options, all);
  all.addresses = options.addresses;
  all.max_connecting = options.max_connecting;
  all.label = "pool " + (all.name.empty() ? "of " + all.first_address() : all.name);
  all.status_interval = options.status_interval;
  all.max_waiters = options.max_waiters;
  core::check(options.pick == pick_policy::round_robin || options.pick == pick_policy::least_loaded, "pick",
              "is no pick_policy");
  all.picks_less_loaded = options.pick == pick_policy::least_loaded;
  all.max_in_flight = options.max_in_flight;
  all.suspect_after = options.suspect_after;
  return std::make_shared<const runtime::checked_pool_options>(std::move(all));
}

std::shared_ptr<const runtime::checked_pool_options> checked(const channel_options& options, std::string type_key) {
  auto all = checked_channel(options, {}, options.name, std::move(type_key));
  check_address("address", all.address, all.has_own_targets);
  all.label = "channel " + (all.name.empty() ? "to " + all.address : all.name);
  return std::make_shared<const runtime::checked_pool_options>(std::move(all));
}

}  // namespace conn_grpc::detail
