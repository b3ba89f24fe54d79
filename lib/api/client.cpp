// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/client.hpp>

#include "api/pool_impl.hpp"
#include "core/exception_text.hpp"
#include "core/jitter.hpp"
#include "grpc/unsent.hpp"
#include "runtime/call_report.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace conn_grpc::detail {

class call_report final : public runtime::call_report<std::chrono::steady_clock> {
 public:
  using runtime::call_report<std::chrono::steady_clock>::call_report;
};

namespace {

using runtime::if_none;

// Handlers may destroy a pool, and so must not run on gRPC's thread. The report is for the
// pool's strand; if that is gone, for the system executor.
class reported_stream final : public leased_stream {
 public:
  reported_stream(lease leased, std::shared_ptr<call_report> report, std::shared_ptr<runtime::closable_strand> strand)
      : leased_stream(std::move(leased)), report_(std::move(report)), strand_(std::move(strand)) {}

  void ended(const grpc::Status& status) noexcept override {
    leased_stream::ended(status);
    try {
      report_->ended(status.error_code(), status.error_message());
    } catch (...) {  // no memory for the text
    }
    if (!emit_on_strand()) emit_elsewhere();
  }

 private:
  bool emit_on_strand() noexcept {
    try {
      return strand_->post([report = report_](const runtime::strand_type&) { report->emit(); });
    } catch (...) {  // no memory, or the user's executor threw
      return false;
    }
  }

  void emit_elsewhere() noexcept {
    try {
      asio::post(asio::system_executor(), [report = std::move(report_)] { report->emit(); });
    } catch (...) {  // no memory: the last owner reports it
    }
  }

  std::shared_ptr<call_report> report_;
  const std::shared_ptr<runtime::closable_strand> strand_;
};

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

bool call_attempts::is_reported() const noexcept { return call_report::is_wanted(pool_->options()); }

void call_attempts::report_as(std::string_view method) {
  report_ = std::make_shared<call_report>(pool_->options(), method);
}

boost::system::result<lease> call_attempts::try_lease() {
  if (has_limit() && time_left() <= std::chrono::nanoseconds::zero()) return errc::not_connected;
  const auto* const avoided = avoided_ != nullptr ? &runtime::member_of(*avoided_) : nullptr;
  auto leased =
      has_limit() ? pool_->lease_channel<if_none::wait>(avoided) : pool_->lease_channel<if_none::fail>(avoided);
  if (!leased && leased.error() == pool_impl::leases_type::all_are_full())
    leased = error_code(asio::error::would_block);
  if (report_ && !leased && leased.error() == asio::error::would_block) report_->waits();
  return leased;
}

std::chrono::nanoseconds call_attempts::time_left() const {
  return has_limit() ? deadline_ - clock::now() : no_timeout;
}

grpc::Status call_attempts::without_lease(error_code failed) {
  if (report_) report_->wait_ended();
  if (failed == asio::error::operation_aborted)
    return reported({grpc::StatusCode::CANCELLED, "the call was cancelled"});
  std::string text = pool_->unavailable_text(failed) + ": " + failed.message();
  if (has_limit() && time_left() <= std::chrono::nanoseconds::zero()) {
    text += " within " + std::to_string(options_.timeout.count()) + " ms";
    if (attempts_ > 0) text += "; the last attempt ended with \"" + last_.error_message() + "\"";
    return reported({grpc::StatusCode::DEADLINE_EXCEEDED, text});
  }
  return reported(attempts_ > 0 ? last_ : grpc::Status(grpc::StatusCode::UNAVAILABLE, text));
}

grpc::Status call_attempts::reported(grpc::Status status) {
  report_end(status);
  return status;
}

void call_attempts::report_end(const grpc::Status& status) {
  if (report_) report_->ended(status.error_code(), status.error_message());
}

void call_attempts::report_attempt(const lease& of) { report_->attempt(pool_->channel_of(of)); }

void call_attempts::report_exception() { report_->ended(grpc::StatusCode::UNKNOWN, core::current_exception_text()); }

std::shared_ptr<leased_stream> call_attempts::begin_stream(lease of) {
  begin(of);
  if (report_) return std::make_shared<reported_stream>(std::move(of), report_, pool_->strand());
  return std::make_shared<leased_stream>(std::move(of));
}

void call_attempts::prepare(grpc::ClientContext& context) {
  if (report_) report_->wait_ended();
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
  if (!is_cancelled && plans_another(status, context, of)) return true;
  report_end(status);
  return false;
}

bool call_attempts::plans_another(const grpc::Status& status, const grpc::ClientContext& context, const lease& of) {
  if (status.ok() || attempts_ >= options_.max_attempts || !may_retry(status, context)) return false;
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
      return code == grpc::StatusCode::UNAVAILABLE && is_certainly_unsent(status, context);
  }
  return false;
}

}  // namespace conn_grpc::detail
