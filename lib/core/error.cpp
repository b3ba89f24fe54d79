// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/error.hpp>

#include <string>

namespace conn_grpc {
namespace {

class category final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "conn_grpc"; }

  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::not_connected:
        return "no channel is connected";
      case errc::not_started:
        return "async_run has not been called, or has failed";
      case errc::stopped:
        return "stopped";
      case errc::invalid_options:
        return "invalid options";
      case errc::name_taken:
        return "the name is taken in this execution context";
      case errc::restart_limit:
        return "user code threw too often";
      case errc::too_many_waiters:
        return "as many callers wait as max_waiters allows";
    }
    return "unknown conn_grpc error";
  }
};

}  // namespace

const boost::system::error_category& error_category() noexcept {
  static const category instance;
  return instance;
}

}  // namespace conn_grpc
