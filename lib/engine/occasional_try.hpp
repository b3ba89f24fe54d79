// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace conn_grpc::engine {

/// Decides whether to try an operation whose failure costs little and whose success saves more. It
/// is tried while it has succeeded lately, and otherwise once in 16 times.
///
/// *Thread safety*: none.
class occasional_try {
 public:
  [[nodiscard]] bool is_worth_it() noexcept {
    if (confidence_ > 0) return true;
    if (--until_try_ > 0) return false;
    until_try_ = between_tries;
    return true;
  }

  void succeeded() noexcept { confidence_ = most_confidence; }
  void failed() noexcept {
    if (confidence_ > 0) --confidence_;
  }

 private:
  static constexpr int between_tries = 16;
  static constexpr int most_confidence = 4;

  int confidence_ = 0;  // failures left before it is tried only now and then
  int until_try_ = between_tries;
};

}  // namespace conn_grpc::engine
