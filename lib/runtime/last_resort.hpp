// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>
#include <conn_grpc/detail/completion.hpp>

#include <utility>

namespace conn_grpc::runtime {

/// Posts a handler that every other executor has refused, so that no completion is lost.
/// Terminates when there is no memory or no thread for it.
inline void post_to_system_executor(detail::completion<detail::refused_work> work) noexcept {
  boost::asio::post(boost::asio::system_executor(), std::move(work));
}

}  // namespace conn_grpc::runtime
