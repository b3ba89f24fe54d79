// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/telemetry.hpp>

#include <cstddef>
#include <string>

#include "support/pool_fixture.hpp"

namespace conn_grpc::test {

/// A pool whose channels are to be connected. Its trace has events, too.
struct served_pool : pool_fixture {
  explicit served_pool(std::size_t size = 1) : pool_fixture(size) {
    const auto record = [this](const telemetry_event& e) {
      trace.push_back(std::string(to_string(e.name)) + (e.error.empty() ? "" : ": " + std::string(e.error)));
    };
    static constexpr event all[] = {event::channel_connected, event::channel_connection_failed,
                                    event::channel_disconnected};
    options.telemetry->attach_many("test", all, record);
  }

  /// Runs it, and connects all channels.
  void connect() {
    run();
    for (std::size_t i = 0; i < options.pool_size; ++i) connector.attempt(i).succeed();
    drain();
    (void)happened();
  }
};

}  // namespace conn_grpc::test
