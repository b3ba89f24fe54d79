// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/configuration.hpp>

#include "config/configuration_file.hpp"
#include "conn_grpc_config.pb.h"
#include "core/option_checks.hpp"

#include <boost/system/system_error.hpp>
#include <conn_grpc/error.hpp>
#include <conn_grpc/tls.hpp>

#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <string_view>

namespace conn_grpc {
namespace {

using core::check;
using std::chrono::milliseconds;
using std::chrono::seconds;

milliseconds to_ms(const google::protobuf::Duration& from, const std::string& path) {
  constexpr seconds most = std::chrono::years(100);  // fits into a time_point of nanoseconds
  constexpr int nanos_per_ms = 1'000'000;
  check(from.nanos() % nanos_per_ms == 0, path, "must be whole milliseconds");
  const milliseconds value = seconds(from.seconds()) + milliseconds(from.nanos() / nanos_per_ms);
  core::check_positive(path, value);
  check(value <= most, path, "must not be above 100 years");
  return value;
}

int to_int(double value, const std::string& path) {
  constexpr int least = std::numeric_limits<int>::min();
  constexpr int most = std::numeric_limits<int>::max();
  check(value >= least && value <= most, path,
        "must be from " + std::to_string(least) + " to " + std::to_string(most) + ", because gRPC keeps it in an int");
  check(value == std::trunc(value), path, "must be a whole number");
  return static_cast<int>(value);
}

void set_arguments(const google::protobuf::Struct& from, const std::string& path, grpc::ChannelArguments& to) {
  const std::string prefix = path + ".arguments.";
  for (const auto& [name, value] : from.fields()) {
    const std::string field = prefix + name;
    check(value.has_number_value() || value.has_string_value(), field, "must be an integer or a string");
    if (value.has_number_value())
      to.SetInt(name, to_int(value.number_value(), field));
    else
      to.SetString(name, value.string_value());
  }
}

void set_keepalive(const config::Channel& from, const std::string& path, grpc::ChannelArguments& to) {
  const auto set = [&](const std::string& name, const std::string& field, double value) {
    check(!from.arguments().fields().contains(name), path + ".arguments." + name, "is already set by " + field);
    to.SetInt(name, to_int(value, path + "." + field));
  };
  const auto set_ms = [&](const std::string& name, const std::string& field, const google::protobuf::Duration& value) {
    set(name, field, static_cast<double>(to_ms(value, path + "." + field).count()));
  };
  const auto& keepalive = from.keepalive();
  if (keepalive.has_time()) set_ms(GRPC_ARG_KEEPALIVE_TIME_MS, "keepalive.time", keepalive.time());
  if (keepalive.has_timeout()) set_ms(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, "keepalive.timeout", keepalive.timeout());
  if (keepalive.has_permit_without_calls())
    set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, "keepalive.permit_without_calls",
        keepalive.permit_without_calls() ? 1 : 0);
}

std::shared_ptr<grpc::ChannelCredentials> to_credentials(const config::Tls& from, const std::string& path,
                                                         const std::filesystem::path& folder) {
  const auto in_folder = [&](const std::filesystem::path& file) { return file.empty() ? file : folder / file; };
  tls_files files{.root_certs = in_folder(from.root_certs()),
                  .cert_chain = in_folder(from.cert_chain()),
                  .private_key = in_folder(from.private_key())};
  if (from.has_refresh_interval()) {
    const milliseconds interval = to_ms(from.refresh_interval(), path + ".refresh_interval");
    files.refresh_interval = std::chrono::floor<seconds>(interval);
    check(files.refresh_interval == interval, path + ".refresh_interval", "must be whole seconds");
  }
  try {
    return tls_credentials(files);
  } catch (const boost::system::system_error& e) {
    std::string_view what = e.what();
    if (const std::string suffix = ": " + e.code().what(); what.ends_with(suffix)) what.remove_suffix(suffix.size());
    throw boost::system::system_error(e.code(), path + "." + std::string(what));
  }
}

backoff_range to_range(const config::Backoff& from, const std::string& path) {
  backoff_range range;
  if (from.has_min()) range.min = to_ms(from.min(), path + ".min");
  if (from.has_max()) range.max = to_ms(from.max(), path + ".max");
  core::check_range(path, range);
  return range;
}

pick_policy to_policy(const std::string& name, const std::string& path) {
  if (name == "round_robin") return pick_policy::round_robin;
  if (name == "least_loaded") return pick_policy::least_loaded;
  core::reject(path, "must be round_robin or least_loaded, is \"" + name + '"');
}

channel_options to_options(const config::Channel& from, const std::string& path, const std::filesystem::path& file) {
  channel_options to;
  if (from.has_address()) {
    core::check_not_empty(path + ".address", from.address());
    to.address = from.address();
  }
  if (from.has_tls()) to.credentials = to_credentials(from.tls(), path + ".tls", file.parent_path());
  set_arguments(from.arguments(), path, to.arguments);
  set_keepalive(from, path, to.arguments);
  to.backoff = to_range(from.backoff(), path + ".backoff");
  if (from.has_connect_timeout()) to.connect_timeout = to_ms(from.connect_timeout(), path + ".connect_timeout");
  if (from.has_stable_after()) to.stable_after = to_ms(from.stable_after(), path + ".stable_after");
  if (from.has_debug()) to.debug = from.debug();
  if (from.has_max_restarts()) to.max_restarts = from.max_restarts();
  if (from.has_restart_window()) to.restart_window = to_ms(from.restart_window(), path + ".restart_window");
  if (from.has_max_connection_age())
    to.max_connection_age = to_ms(from.max_connection_age(), path + ".max_connection_age");
  if (from.has_health_service()) to.health_service = from.health_service();
  return to;
}

}  // namespace

pool_options load_pool_options(const std::filesystem::path& file, const std::string& pool) {
  config::Pool from;
  const std::string path = detail::read_entry(file, "pools", pool, from);
  pool_options to{.name = pool, .channel = to_options(from.channel(), path + ".channel", file)};
  if (from.has_pool_size()) to.pool_size = from.pool_size();
  if (from.has_max_waiters()) to.max_waiters = from.max_waiters();
  if (from.has_max_connecting()) to.max_connecting = from.max_connecting();
  to.addresses.assign(from.addresses().begin(), from.addresses().end());
  if (from.has_resolve_interval()) to.resolve_interval = to_ms(from.resolve_interval(), path + ".resolve_interval");
  if (from.has_status_interval()) to.status_interval = to_ms(from.status_interval(), path + ".status_interval");
  if (from.has_pick()) to.pick = to_policy(from.pick(), path + ".pick");
  if (from.has_max_in_flight()) to.max_in_flight = from.max_in_flight();
  if (from.has_max_size()) to.max_size = from.max_size();
  if (from.has_suspect_after()) to.suspect_after = from.suspect_after();
  return to;
}

channel_options load_channel_options(const std::filesystem::path& file, const std::string& channel) {
  config::Channel from;
  const std::string path = detail::read_entry(file, "channels", channel, from);
  channel_options to = to_options(from, path, file);
  to.name = channel;
  return to;
}

}  // namespace conn_grpc
