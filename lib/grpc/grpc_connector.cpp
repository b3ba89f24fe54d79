// SPDX-License-Identifier: BSL-1.0
#include "grpc/grpc_connector.hpp"

#include "core/target.hpp"
#include "grpc/completion_thread.hpp"
#include "grpc/grpc_connection.hpp"

#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace conn_grpc::detail {
namespace {

void add_user_agent(::grpc::ChannelArguments& to, std::string agent) {
  const std::string grpcs = "grpc-c++/" + ::grpc::Version();
  if (agent.ends_with(grpcs)) agent.resize(agent.size() - grpcs.size());
  if (agent.ends_with(' ')) agent.pop_back();
  if (!agent.empty()) to.SetUserAgentPrefix(agent);
}

/// Adds a copy of the argument.
void add(::grpc::ChannelArguments& to, const grpc_arg& argument) {
  const std::string key = argument.key;
  switch (argument.type) {
    case GRPC_ARG_INTEGER:
      return to.SetInt(key, argument.value.integer);
    case GRPC_ARG_STRING:
      // A new list already has gRPC's own user agent. What a user adds comes before it.
      if (key == GRPC_ARG_PRIMARY_USER_AGENT_STRING) return add_user_agent(to, argument.value.string);
      return to.SetString(key, argument.value.string);
    case GRPC_ARG_POINTER:
      return to.SetPointerWithVtable(key, argument.value.pointer.p, argument.value.pointer.vtable);
  }
}

/// The last value for this key, which is the one that counts. Null when there is none.
const grpc_arg* find(const ::grpc::ChannelArguments& given, std::string_view key) {
  const grpc_channel_args view = given.c_channel_args();
  const auto all = std::span<const grpc_arg>(view.args, view.num_args);
  const auto last = std::ranges::find_if(all.rbegin(), all.rend(), [=](const grpc_arg& a) { return a.key == key; });
  return last == all.rend() ? nullptr : &*last;
}

/// The value that counts, or `otherwise` when none is set.
int integer_of(const ::grpc::ChannelArguments& given, std::string_view key, int otherwise) {
  const auto* const set = find(given, key);
  return set && set->type == GRPC_ARG_INTEGER ? set->value.integer : otherwise;
}

constexpr int never = std::numeric_limits<int>::max();

bool sends_keepalive(const ::grpc::ChannelArguments& arguments) {
  return integer_of(arguments, GRPC_ARG_KEEPALIVE_TIME_MS, never) != never;
}

// GRPC_ARG_PING_TIMEOUT_MS, which is in none of gRPC's public headers. 1.51 ignores it.
constexpr const char* ping_timeout = "grpc.http2.ping_timeout_ms";

int keepalive_timeout_in_ms(const ::grpc::ChannelArguments& given) {
  return integer_of(given, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);  // gRPC's default
}

/// The arguments that the library sets for every channel.
class own_arguments {
 public:
  explicit own_arguments(std::chrono::milliseconds connect_timeout) {
    // Channels with equal arguments share a connection (grpc#18487), unless each has a
    // pool of subchannels of its own.
    add(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    // Despite its name this limits the attempt at one address (grpc#12830). The default
    // is 20 s.
    add(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, in_ms(connect_timeout));
    // This limits name resolution.
    add(GRPC_ARG_DNS_ARES_QUERY_TIMEOUT_MS, in_ms(connect_timeout));
  }

  [[nodiscard]] bool has(std::string_view key) const {
    return std::ranges::any_of(all_, [=](const auto& own) { return own.first == key; });
  }
  void add_to(::grpc::ChannelArguments& arguments) const {
    for (const auto& [key, value] : all_) arguments.SetInt(key, value);
  }

  static int in_ms(std::chrono::milliseconds duration) {
    constexpr std::chrono::milliseconds::rep most = std::numeric_limits<int>::max();
    return static_cast<int>(std::min(duration.count(), most));
  }

 private:
  void add(const char* key, int value) { all_.emplace_back(key, value); }

  std::vector<std::pair<std::string, int>> all_;
};

/// gRPC's own backoff after the first attempt, which the user may have set. gRPC ends the
/// attempt at an address after the limit or after this backoff, whichever is later. So a
/// short `connect_timeout` needs a short backoff.
int first_backoff_in_ms(const ::grpc::ChannelArguments& given, std::chrono::milliseconds connect_timeout) {
  constexpr std::chrono::milliseconds of_grpc{1'000};  // plus or minus a fifth
  return integer_of(given, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
                    own_arguments::in_ms(std::min(of_grpc, connect_timeout / 5 * 4)));
}

/// The user's arguments and the library's. Of equal keys gRPC takes the first. But the
/// user's last value counts, and the library's own arguments replace the user's. No
/// argument can be removed from a list, so this is a new list.
::grpc::ChannelArguments completed(const ::grpc::ChannelArguments& given, std::chrono::milliseconds connect_timeout,
                                   const std::string& authority, std::string_view without = {}) {
  const own_arguments own(connect_timeout);
  ::grpc::ChannelArguments all;
  const grpc_channel_args view = given.c_channel_args();
  for (const auto& argument : std::span<const grpc_arg>(view.args, view.num_args)) {
    const std::string_view key = argument.key;
    if (find(given, key) == &argument && !own.has(key) && key != without) add(all, argument);
  }
  own.add_to(all);
  // gRPC may close a connection that has carried no RPC for half an hour. A pool keeps
  // it.
  if (!find(given, GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS))
    all.SetInt(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, std::numeric_limits<int>::max());
  if (!find(given, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS))
    all.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, first_backoff_in_ms(given, connect_timeout));
  // gRPC 1.83 ignores the user's limit for the answer to a keepalive ping (grpc#39239).
  // Its own limit for the answer to any ping is a minute.
  if (sends_keepalive(given) && !find(given, ping_timeout)) all.SetInt(ping_timeout, keepalive_timeout_in_ms(given));
  // gRPC makes the authority of the name for the certificate when there is only that.
  if (!authority.empty() && !find(given, GRPC_ARG_DEFAULT_AUTHORITY) && !find(given, GRPC_SSL_TARGET_NAME_OVERRIDE_ARG))
    all.SetString(GRPC_ARG_DEFAULT_AUTHORITY, authority);
  return all;
}

/// A certificate fetch verifies nothing. So it must not leave a session behind for the
/// next attempt to resume, because OpenSSL does not verify a resumed session again. Its
/// timeout is short: when the fetch is not answered, the attempt must still have its own
/// reason.
::grpc::ChannelArguments for_certificate_fetch(const channel_options& options, const std::string& authority) {
  return completed(options.arguments, std::min(options.connect_timeout, std::chrono::milliseconds(1'000)), authority,
                   GRPC_SSL_SESSION_CACHE_ARG);
}

/// Finds the proxy that gRPC connects to instead of an address. Finds none with a user's
/// `create_channel`, which may connect to anything.
std::function<std::string(const std::string&)> proxy_finder(const channel_options& options) {
  if (options.create_channel) return [](const std::string&) { return std::string(); };
  core::proxy_configuration configuration{
      .environment = [](const char* name) { return std::getenv(name); }};  // NOLINT(concurrency-mt-unsafe): as gRPC
  configuration.enabled = integer_of(options.arguments, GRPC_ARG_ENABLE_HTTP_PROXY, 1) != 0;

  const auto* const proxy = find(options.arguments, GRPC_ARG_HTTP_PROXY);
  if (proxy && proxy->type == GRPC_ARG_STRING) configuration.in_arguments = proxy->value.string;
  return [configuration](const std::string& address) { return core::proxy_of(address, configuration); };
}

}  // namespace

bool pings_too_often(const ::grpc::ChannelArguments& arguments) {
  constexpr int five_minutes = 5 * 60 * 1'000;
  constexpr int two_hours = 2 * 60 * 60 * 1'000;
  const int without_data = integer_of(arguments, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 2);
  const bool without_calls = integer_of(arguments, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0) != 0;
  const int interval = integer_of(arguments, GRPC_ARG_KEEPALIVE_TIME_MS, never);
  return (without_data == 0 || without_data > 2) && interval < (without_calls ? two_hours : five_minutes);
}

std::chrono::milliseconds attempt_limit(std::chrono::milliseconds connect_timeout) {
  constexpr int most_addresses = 8;
  constexpr auto longest = (std::chrono::milliseconds::max)();
  return connect_timeout < longest / (1 + most_addresses) ? connect_timeout * (1 + most_addresses) : longest;
}

grpc_connector::grpc_connector(const channel_options& options, const std::string& authority)
    : credentials_(options.credentials),
      arguments_(completed(options.arguments, options.connect_timeout, authority)),
      create_channel_(options.create_channel),
      watch_options_(std::make_shared<const watch_options>(watch_options{
          .connect_timeout = options.connect_timeout,
          .first_backoff =
              std::chrono::milliseconds(first_backoff_in_ms(options.arguments, options.connect_timeout)) / 5 * 4,
          .attempt_limit = attempt_limit(options.connect_timeout),
          .sends_keepalive = sends_keepalive(options.arguments),
          .proxy_for = proxy_finder(options),
          .diagnosis = tls_diagnosis::of(options, for_certificate_fetch(options, authority)),
          .health_service = options.health_service})) {
  completion_thread::instance();
}

std::unique_ptr<runtime::connection> grpc_connector::connect(const std::string& address,
                                                             runtime::connection_observer changed,
                                                             std::shared_ptr<void> reused) const {
  try {
    use_ = completion_thread::instance().use();
  } catch (const completion_thread::unavailable& e) {
    return std::make_unique<grpc_connection>(std::make_shared<watched_channel>(address, e.what(), watch_options_));
  }
  auto channel = reused ? *std::static_pointer_cast<monitored_channel>(reused) : create(address);
  auto watched = std::make_shared<watched_channel>(address, std::move(channel), std::move(changed), watch_options_);
  watched->start();
  return std::make_unique<grpc_connection>(std::move(watched));
}

monitored_channel grpc_connector::create(const std::string& address) const {
  const auto& credentials = credentials_ ? credentials_ : use_->session->insecure;
  if (!create_channel_) return create_monitored_channel(use_->session, address, credentials, arguments_, calls_);
  auto channel = create_channel_(address, credentials, arguments_);
  if (!channel) throw std::invalid_argument("create_channel returned null");
  return {.channel = std::move(channel), .monitor = nullptr};
}

std::size_t grpc_connector::calls_in_flight() const { return calls_->load(std::memory_order_acquire); }

}  // namespace conn_grpc::detail
