// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/backoff.hpp>

#include "core/jitter.hpp"
#include "core/option_checks.hpp"

#include <algorithm>
#include <random>

namespace conn_grpc {
namespace {

using std::chrono::milliseconds;

class exponential final : public backoff {
 public:
  exponential(backoff_range range, std::uint64_t seed)
      : range_(range), current_(range.min), random_(core::generator_of(seed)) {}

  milliseconds next() override {
    // Compounding jitter: each draw begins at the last one, so channels that failed
    // together drift apart. The lower end is at most a third of max, so that three times
    // that stays within max. In a narrow range min is the lower end, and max the upper
    // end.
    const milliseconds low = std::max(range_.min, std::min(current_, range_.max / 3));
    const milliseconds high = low > range_.max / 3 ? range_.max : low * 3;
    std::uniform_int_distribution<milliseconds::rep> between(low.count(), high.count());
    current_ = milliseconds(between(random_));
    return current_;
  }

  void reset() override { current_ = range_.min; }

 private:
  backoff_range range_;
  milliseconds current_;
  core::random_generator random_;
};

}  // namespace

backoff::~backoff() = default;

std::unique_ptr<backoff> exponential_backoff(backoff_range range, std::uint64_t seed) {
  core::check_range("backoff", range);
  return std::make_unique<exponential>(range, seed);
}

std::unique_ptr<backoff> exponential_backoff(backoff_range range) {
  return exponential_backoff(range, core::unique_seed());
}

}  // namespace conn_grpc
