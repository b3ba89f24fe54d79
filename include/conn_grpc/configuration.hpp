// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// Options from a JSON file.

#include <conn_grpc/detail/config.hpp>
#include <conn_grpc/options.hpp>

#include <filesystem>
#include <string>

namespace conn_grpc {

/// Reads the options of a pool, and its name, from a JSON file. docs/configuration.md
/// describes the format. Fields that are not in the file have the defaults of
/// `pool_options`. Code may change the result:
///
///     auto options = conn_grpc::load_pool_options("pools.json", "greeter");
///     options.channel.on_connect = [] { … };
///     conn_grpc::pool pool{io, std::move(options)};
///
/// `${NAME}` and `${NAME:-default}` in the file's strings are environment variables. The
/// function blocks while it reads the file, and the files that its `tls` names.
///
/// *Errors*: Throws boost::system::system_error with errc::invalid_options. The text
/// names the file and the field: "pools.json: pools.greeter.channel.connect_timeout: must
/// be above zero, is 0 ms".
///
/// *Thread safety*: Any thread may call this function, if no other thread changes the
/// environment meanwhile.
[[nodiscard]] CONN_GRPC_API pool_options load_pool_options(const std::filesystem::path& file, const std::string& pool);

/// Reads the options of a channel that belongs to no pool, and its name, from a JSON
/// file. docs/configuration.md describes the format. Fields that are not in the file have
/// the defaults of `channel_options`. Code may change the result:
///
///     auto options = conn_grpc::load_channel_options("pools.json", "reports");
///     options.on_connect = [] { … };
///     conn_grpc::channel channel{io, std::move(options)};
///
/// `${NAME}` and `${NAME:-default}` in the file's strings are environment variables. The
/// function blocks while it reads the file, and the files that its `tls` names.
///
/// *Errors*: Throws boost::system::system_error with errc::invalid_options. The text
/// names the file and the field: "pools.json: channels.reports.connect_timeout: must be
/// above zero, is 0 ms".
///
/// *Thread safety*: Any thread may call this function, if no other thread changes the
/// environment meanwhile.
[[nodiscard]] CONN_GRPC_API channel_options load_channel_options(const std::filesystem::path& file,
                                                                 const std::string& channel);

}  // namespace conn_grpc
