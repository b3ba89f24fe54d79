// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/client.hpp>

#include "api/pool_impl.hpp"
#include "core/jitter.hpp"
#include "grpc/unsent.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace conn_grpc::detail {
namespace {

using runtime::if_none;

// The first retry is made at once, because it uses another channel.
std::chrono::nanoseconds pause_before_retry(int number) {
  constexpr std::chrono::milliseconds first{20};
  constexpr std::chrono::milliseconds longest{1'000};
  if (number <= 1) return {};
  const auto doubled = number < 8 ? first * (1 << (number - 2)) : longest;
  return core::with_jitter((std::min)(doubled, longest));
}

}  // namespace

call_attempts::call_attempts(std::shared_ptr<pool_impl> pool, call_options options)
    : pool_(std::move(pool)),
      options_(std::move(options)),
      deadline_(runtime::deadline_after<clock>((std::max)(options_.timeout, std::chrono::milliseconds(0)))) {}

void call_attempts::count_call() { pool_->retries().count_call(); }

boost::system::result<lease> call_attempts::try_lease() {
  if (has_limit() && time_left() <= std::chrono::nanoseconds::zero()) return errc::not_connected;
  const auto* const avoided = avoided_ != nullptr ? &runtime::member_of(*avoided_) : nullptr;
  if (has_limit()) return pool_->lease_channel<if_none::wait>(avoided);
  auto leased = pool_->lease_channel<if_none::fail>(avoided);
  if (!leased && leased.error() == pool_impl::leases_type::all_are_full()) return asio::error::would_block;
  return leased;
}

std::chrono::nanoseconds call_attempts::time_left() const {
  return has_limit() ? deadline_ - clock::now() : no_timeout;
}

grpc::Status call_attempts::without_lease(error_code failed) const {
  if (failed == asio::error::operation_aborted) return {grpc::StatusCode::CANCELLED, "the call was cancelled"};
  std::string text = pool_->unavailable_text(failed) + ": " + failed.message();
  if (has_limit() && time_left() <= std::chrono::nanoseconds::zero()) {
    text += " within " + std::to_string(options_.timeout.count()) + " ms";
    if (attempts_ > 0) text += "; the last attempt ended with \"" + last_.error_message() + "\"";
    return {grpc::StatusCode::DEADLINE_EXCEEDED, text};
  }
  return attempts_ > 0 ? last_ : grpc::Status(grpc::StatusCode::UNAVAILABLE, text);
}

void call_attempts::prepare(grpc::ClientContext& context) {
  begun_ = clock::now();
  constexpr auto longest = std::chrono::years(100);  // fits into the time_points of clocks
  if (const auto left = time_left(); left < longest)
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::duration_cast<std::chrono::system_clock::duration>(left));
  for (const auto& [key, value] : options_.metadata) context.AddMetadata(key, value);
  if (options_.prepare) options_.prepare(context);
}

bool call_attempts::ended(const grpc::Status& status, const grpc::ClientContext& context, const lease& of,
                          bool is_cancelled) {
  ++attempts_;
  if (!is_cancelled && had_time_for(status)) of.report(status);
  if (status.ok() || is_cancelled || attempts_ >= options_.max_attempts || !may_retry(status, context)) return false;
  pause_ = pause_before_retry(attempts_);
  if (pause_ >= time_left() || !pool_->retries().spend(clock::now())) return false;
  last_ = status;
  last_channel_ = of.channel();
  avoided_ = of.target();
  return true;
}

// An RPC that had waited for room until little time was left says nothing about its
// connection when the time is over.
bool call_attempts::had_time_for(const grpc::Status& status) const {
  if (status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED || !has_limit()) return true;
  return deadline_ - begun_ >= options_.timeout / 2;
}

bool call_attempts::may_retry(const grpc::Status& status, const grpc::ClientContext& context) const {
  const auto code = status.error_code();
  switch (options_.retries) {
    case retry::never:
      return false;
    case retry::idempotent:
      if (code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::CANCELLED) return true;
      [[fallthrough]];
    case retry::unsent:
      return code == grpc::StatusCode::UNAVAILABLE && is_certainly_unsent(status, context.debug_error_string());
  }
  return false;
}

}  // namespace conn_grpc::detail
