// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/checked_pool_options.hpp"
#include "runtime/resolver.hpp"

#include <mutex>
#include <string>

namespace conn_grpc::runtime {

/// Reports the look-ups of a pool's name. With `debug`, it logs a line for each failure and
/// for each change of the addresses. It keeps the last failure for the status and for
/// exceptions. `failure()` is thread-safe. The other functions are for the strand.
class look_up_report {
 public:
  explicit look_up_report(const checked_pool_options& options) : options_(options) {}

  void found(const resolution& addresses, bool is_change);
  void failed(const resolution& why, bool keeps_addresses);

  /// The failure of the last look-up that has ended, with the name. Empty when it
  /// succeeded, and before the first one has ended.
  [[nodiscard]] std::string failure() const;

 private:
  void set_failure(std::string text);
  void log(const std::string& text) const;

  const checked_pool_options& options_;
  mutable std::mutex mutex_;
  std::string failure_;
};

}  // namespace conn_grpc::runtime
