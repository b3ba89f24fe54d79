// SPDX-License-Identifier: BSL-1.0
// Runs each test of the program inside of a scope of its own, when CONN_GRPC_TEST_SCOPE is
// set: the behaviour of pools and RPCs is the same there. The tests' own contexts are
// others than the scope's, which has a thread of its own.
#include <boost/asio/io_context.hpp>
#include <conn_grpc/event_engine.hpp>
#include <optional>

#include "support/background.hpp"
#include "support/catch.hpp"
#include "support/environment.hpp"

namespace {

struct scope_of_test {
  boost::asio::io_context io;
  conn_grpc::event_engine_scope scope{io};
  conn_grpc::test::background thread{io, 2};
};

class scope_listener final : public Catch::EventListenerBase {
 public:
  using EventListenerBase::EventListenerBase;

  void testCaseStarting(const Catch::TestCaseInfo&) override {
    if (conn_grpc::test::is_in_scope()) scope_.emplace();
  }
  void testCaseEnded(const Catch::TestCaseStats&) override { scope_.reset(); }

 private:
  std::optional<scope_of_test> scope_;
};

CATCH_REGISTER_LISTENER(scope_listener)

}  // namespace
