// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace conn_grpc::engine {

/// Decides whether a turn puts its writes off until the turns that are ready now have ended.
///
/// With many RPCs in flight several sockets are readable at once. Each of their turns begins
/// RPCs on several connections. Writes that are put off leave as one write per connection,
/// instead of one per turn and connection. With one RPC in flight nothing follows, and
/// putting off costs another look at the sockets. So this puts off as long as that has helped
/// lately, and tries from time to time whether it would.
///
/// *Thread safety*: none.
class write_gathering {
 public:
  /// A turn begins. Returns whether it should put its writes off.
  [[nodiscard]] bool begin_turn() noexcept {
    if (confidence_ > 0 || turns_ > 0) return true;  // a try includes the turns that follow it
    turns_until_try_ = turns_until_try_ == 0 ? turns_between_tries : turns_until_try_ - 1;
    return turns_until_try_ == 0;
  }

  /// A turn that had something to write has put it off.
  void put_off() noexcept { ++turns_; }

  /// What was put off is being written.
  void flush() noexcept {
    if (turns_ > 1)
      confidence_ = most_confidence;
    else if (turns_ == 1 && confidence_ > 0)
      --confidence_;
    turns_ = 0;
  }

 private:
  static constexpr int turns_between_tries = 16;
  static constexpr int most_confidence = 8;

  int confidence_ = 0;  // flushes of one turn until this stops to put off
  int turns_until_try_ = turns_between_tries;
  int turns_ = 0;  // that have put off since the last flush
};

}  // namespace conn_grpc::engine
