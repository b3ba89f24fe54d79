// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution_context.hpp>
#include <conn_grpc/detail/lookup.hpp>
#include <conn_grpc/detail/run.hpp>
#include <conn_grpc/options.hpp>

#include <concepts>
#include <string>
#include <typeinfo>
#include <utility>

namespace conn_grpc::detail {

/// "demo_pool", whatever namespace or function it is declared in.
[[nodiscard]] CONN_GRPC_API std::string unqualified_name(const std::type_info& type);

/// The key by which the type's instance is found; no name equals it.
[[nodiscard]] CONN_GRPC_API std::string key_of(const std::type_info& type);

/// What a `static_pool` and a `static_channel` have in common: for each execution context at most one instance of
/// `Derived`, which lives from `async_run` to its completion. It is found by its type and, as any other, by its name,
/// which is that of the type, without namespaces, when `Derived::options()` leaves it empty.
///
/// All functions are thread-safe.
template <class Derived, class Options>
class static_lifecycle {
 public:
  /// Makes an instance from `Derived::options()`, and runs it until `stop()`, its cancellation, or the end of the
  /// context. Completes as `lifecycle::async_run` does: with asio::error::already_started when one runs in this
  /// context, with errc::name_taken when something else runs under its name. After it has been stopped, another may be
  /// run.
  ///
  /// *Errors*: also throws what `Derived::options()` throws, and boost::system::system_error with
  /// errc::invalid_options.
  ///
  /// *Cancellation*, *executor* and *lifetime*: as `lifecycle::async_run`. *Thread safety*: any thread.
  template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  static auto async_run(const asio::any_io_executor& executor, Token&& token = {}) {
    Options options = Derived::options();
    if (options.name.empty()) options.name = type_name();
    return detail::async_run(make_pool_impl(executor, options, key()), std::forward<Token>(token));
  }

  /// The same with the context's executor.
  ///
  /// *Errors*, *cancellation*, *executor* and *lifetime*: as `lifecycle::async_run`. *Thread safety*: any thread.
  template <std::derived_from<asio::execution_context> Context,
            asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  static auto async_run(Context& context, Token&& token = {}) {
    return async_run(asio::any_io_executor(context.get_executor()), std::forward<Token>(token));
  }

  /// `lifecycle::stop()` of the instance of this context, if there is one.
  ///
  /// *Thread safety*: any thread.
  static void stop(asio::execution_context& context) { stop_by_key(context, key()); }

 protected:
  static const std::string& key() {
    static const auto& key = *new std::string(key_of(typeid(Derived)));  // never destroyed: at exit it may be stopped
    return key;
  }
  static const std::string& type_name() {
    static const auto& name = *new std::string(unqualified_name(typeid(Derived)));
    return name;
  }
};

}  // namespace conn_grpc::detail
