// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/actor_state.hpp"
#include "runtime/attempt_limiter.hpp"
#include "runtime/channel_transition.hpp"
#include "runtime/connection_attempt.hpp"
#include "runtime/connection_session.hpp"
#include "runtime/strand.hpp"
#include "runtime/user_code.hpp"

#include <memory>
#include <string>
#include <utility>

namespace conn_grpc::runtime {

/// How a channel connects: makes one attempt, once the limiter permits it. On the strand.
template <class Clock>
class connecting_phase {
 public:
  using attempt = connection_attempt<Clock>;
  using permit_type = typename attempt::permit_type;

  explicit connecting_phase(actor_state<Clock>& state) : state_(state) {}

  /// Connects while no connection serves.
  /// @param begun an attempt that goes on, or none. None at the end, unless it has
  /// succeeded.
  /// @return true when it has succeeded.
  strand_awaitable<bool> connect(attempt& begun) {
    if (is_under_way(begun)) state_.notify({.what = step::still_connecting});
    {
      typename attempt_limiter<Clock>::place place(limiter(), state_.changed);
      while (!begun && !state_.stopping) {
        if (auto permit = place.request())
          begun = begin(std::move(permit), std::exchange(state_.reusable, nullptr));
        else
          co_await state_.changed.wait();
      }
    }
    while (!state_.stopping && is_under_way(begun)) co_await state_.changed.wait_until(begun.deadline());
    end(begun);
    const bool succeeded = !state_.stopping && begun.has_succeeded();
    if (!state_.stopping && !succeeded) fail(begun);
    if (!succeeded) begun = {};
    co_return succeeded;
  }

  /// @param replaces why another connection, which serves, is replaced; else empty.
  attempt begin(permit_type permit, std::shared_ptr<void> reusable, const std::string& replaces = {}) {
    state_.notify({.what = step::connecting, .reason = replaces, .is_serving = !replaces.empty()});
    const auto now = Clock::now();
    const auto id = state_.environment.counters.next_connection++;
    auto changed = state_.environment.observer_of(state_.channel->slot, id);
    auto connection = call_user("create_channel", [&] {
      return state_.environment.connects.connect(state_.channel->address, std::move(changed), std::move(reusable));
    });
    auto session = std::make_unique<connection_session<Clock>>(std::move(connection), state_.channel, id,
                                                               state_.environment.picker);
    return attempt(state_.environment.options, std::move(session), std::move(permit), now, replaces);
  }

  [[nodiscard]] bool is_under_way(attempt& begun) const { return begun.is_under_way(*state_.strand, state_.changed); }

  /// The attempt has ended, or is given up. Another channel may begin one.
  void end(attempt& ended) {
    ended.end();
    limiter().notify_next();
  }

  /// Reports that an attempt has failed.
  /// @param is_serving true while another connection serves.
  void fail(const attempt& failed, bool is_serving = false) {
    if (!is_serving) state_.pace.attempt_failed();
    state_.has_settled = true;
    const auto reason = failed.failure();
    state_.notify({.what = step::connect_failed, .took = failed.took(), .reason = reason, .is_serving = is_serving});
    state_.environment.attempt_ended(*state_.channel, false);
  }

  [[nodiscard]] attempt_limiter<Clock>& limiter() const { return state_.environment.attempts; }

 private:
  using step = channel_transition::step;

  actor_state<Clock>& state_;
};

}  // namespace conn_grpc::runtime
