// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <stdlib.h>

#include <optional>
#include <string>
#include <utility>

namespace conn_grpc::test {

/// Sets or unsets an environment variable for as long as this object exists.
class environment_variable {
 public:
  environment_variable(std::string name, const std::optional<std::string>& value) : name_(std::move(name)) {
    if (const char* before = ::getenv(name_.c_str())) before_ = before;
    set(value);
  }
  ~environment_variable() { set(before_); }
  environment_variable(const environment_variable&) = delete;
  environment_variable& operator=(const environment_variable&) = delete;

 private:
  void set(const std::optional<std::string>& value) const {
    if (value)
      ::setenv(name_.c_str(), value->c_str(), 1);
    else
      ::unsetenv(name_.c_str());
  }

  std::string name_;
  std::optional<std::string> before_;
};

}  // namespace conn_grpc::test
