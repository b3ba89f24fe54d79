// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace conn_grpc::runtime {

/// Runs functions that read files, one after another, on a thread of its own. So a file
/// system that hangs holds up no thread of gRPC's, and only one of the library's. The
/// thread exists while there is something to read. Thread-safe.
class file_reader : public std::enable_shared_from_this<file_reader> {
 public:
  /// False when no thread can be started, or when so many functions wait that reading
  /// seems to hang.
  [[nodiscard]] bool run(std::function<void()> read);

 private:
  void run_all();

  std::mutex mutex_;
  std::deque<std::function<void()>> waiting_;
  bool running_ = false;
};

}  // namespace conn_grpc::runtime
