// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <conn_grpc/detail/get.hpp>
#include <conn_grpc/detail/posted_handler.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/pool_fixture.hpp"

namespace conn_grpc::test {

/// Gets that wait, each with a name, and their answers.
class waiting_fixture : public pool_fixture {
 public:
  using pool_fixture::pool_fixture;

  void wait(const std::string& name, std::chrono::nanoseconds timeout,
            boost::asio::cancellation_signal* cancel = nullptr, boost::asio::io_context* where = nullptr,
            std::shared_ptr<int> held = nullptr) {
    auto& handler_context = where ? *where : *io;
    auto handler = [this, name, held = std::move(held)](error_code failed, const runtime::channel_ptr& channel) {
      answered.push_back(
          name + ": " +
          (failed ? failed.message() : object_of<std::string>(channel).substr(std::string("channel of ").size())));
    };
    const boost::asio::cancellation_slot slot = cancel ? cancel->slot() : boost::asio::cancellation_slot();
    auto bound = boost::asio::bind_cancellation_slot(slot, std::move(handler));
    if (const auto found = next_unless_waiting(); found || found.error() != boost::asio::error::would_block)
      detail::complete_now(std::move(bound), handler_context.get_executor(), *pool,
                           found ? error_code() : found.error(), found ? *found : nullptr);
    else
      pool->wait_for_channel(detail::posted_handler(std::move(bound), handler_context.get_executor()), handler_context,
                             timeout);
  }

  void wait_for_size(const std::string& name, std::size_t needed,
                     std::chrono::nanoseconds timeout = detail::no_timeout) {
    auto handler = [this, name](error_code failed) { answered.push_back(name + ": " + failed.message()); };
    pool->wait_for_size(detail::posted_handler(std::move(handler), io->get_executor()), *io, needed, timeout);
  }

  /// What was answered since the last call.
  std::vector<std::string> answers() { return std::exchange(answered, {}); }

  std::vector<std::string> answered;
};

}  // namespace conn_grpc::test
