// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/closable_strand.hpp"
#include "runtime/strand.hpp"

#include <memory>
#include <utility>

namespace conn_grpc::runtime {

/// Completes the waiters that a thread has left, a slice for each turn of the strand. So
/// other handlers of the context run in between. When it is destroyed uncalled, with its
/// context or because the context is gone, it completes all of them at once.
/// @tparam Picker has `deliver_slice()`, which returns true when there is more.
template <class Picker>
class waiter_delivery {
 public:
  static void begin(Picker& picker, const std::weak_ptr<void>& owner,
                    const std::shared_ptr<closable_strand>& strand) noexcept {
    try {
      // Shared, because `post` may destroy what is posted inside of itself, where it must
      // not call back into the picker.
      const auto rest =
          std::make_shared<waiter_delivery>(std::shared_ptr<Picker>(std::shared_ptr<void>(owner), &picker), strand);
      strand->post([rest](const strand_type&) { (*rest)(); });
    } catch (...) {  // there is no memory to do it later, or the owner is being destroyed
      while (picker.deliver_slice()) continue;
    }
  }

  waiter_delivery(std::shared_ptr<Picker> picker, std::shared_ptr<closable_strand> strand)
      : picker_(std::move(picker)), strand_(std::move(strand)) {}
  ~waiter_delivery() {
    while (picker_ && picker_->deliver_slice()) continue;
  }
  waiter_delivery(const waiter_delivery&) = delete;
  waiter_delivery& operator=(const waiter_delivery&) = delete;

 private:
  void operator()() {
    const auto picker = std::move(picker_);
    if (picker->deliver_slice()) begin(*picker, picker, strand_);
  }

  std::shared_ptr<Picker> picker_;
  const std::shared_ptr<closable_strand> strand_;
};

}  // namespace conn_grpc::runtime
