// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/error.hpp>
#include <conn_grpc/status.hpp>

#include <set>
#include <string>

#include "support/catch.hpp"

using conn_grpc::errc;

TEST_CASE("each error converts to an error_code with a text of its own", "[error]") {
  std::set<std::string> texts;
  for (const auto e : {errc::not_connected, errc::not_started, errc::stopped, errc::invalid_options, errc::name_taken,
                       errc::restart_limit}) {
    const conn_grpc::error_code code = e;
    CHECK(code.failed());
    CHECK(code == e);
    CHECK(std::string(code.category().name()) == "conn_grpc");
    texts.insert(code.message());
  }
  CHECK(texts.size() == 6);
  CHECK(conn_grpc::error_code(77, conn_grpc::error_category()).message() == "unknown conn_grpc error");
}

TEST_CASE("each state has its name", "[error]") {
  using enum conn_grpc::channel_state;
  CHECK(to_string(not_started) == "not_started");
  CHECK(to_string(connecting) == "connecting");
  CHECK(to_string(connected) == "connected");
  CHECK(to_string(backing_off) == "backing_off");
  CHECK(to_string(stopped) == "stopped");
}
