// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/detail/config.hpp>
#include <conn_grpc/options.hpp>

#include <filesystem>
#include <string>

namespace conn_grpc {

/// The options of a pool or channel, and its name, out of a JSON file; docs/configuration.md has the format. What the
/// file leaves out is as in `options.hpp`, and what it has can be overridden by assigning to the result:
///
///     auto options = conn_grpc::load_pool_options("pools.json", "greeter");
///     options.channel.on_connect = [] { … };
///     conn_grpc::pool pool{io, std::move(options)};
///
/// `${NAME}` and `${NAME:-default}` in the file's strings are environment variables. Thread-safe, as long as no other
/// thread changes the environment. Blocks for the file, and for those that its `tls` names.
///
/// @throws boost::system::system_error with errc::invalid_options and a text that names the file and the field:
/// "pools.json: pools.greeter.channel.connect_timeout: must be above zero, is 0 ms".
[[nodiscard]] CONN_GRPC_API pool_options load_pool_options(const std::filesystem::path& file, const std::string& pool);
[[nodiscard]] CONN_GRPC_API channel_options load_channel_options(const std::filesystem::path& file,
                                                                 const std::string& channel);

}  // namespace conn_grpc
